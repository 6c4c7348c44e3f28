package machine

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

type upFlags struct {
	broker bool
	listen string
	brief  bool // what comes next is known
}

// SetUp is `up` as a step of something else.
func SetUp(ctx context.Context, a *shell.App) error { return runUp(ctx, a, upFlags{brief: true}) }

// NewUp sets this machine up.
func NewUp(a *shell.App) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Set everything up on this machine: broker, mesh, daemon",
		Long: "Set everything up on this machine, without an account and without the network: a broker on 127.0.0.1, a mesh if none is " +
			"joined, and the daemon. It can be run again at any time. On a machine whose meshes live elsewhere it starts no broker, " +
			"unless --broker is given.\n\n" +
			"With --listen 0.0.0.0:7900 other machines reach the broker, too: by TLS, with a certificate of its own whose key the invite links " +
			"name, so that no authority is needed. In plain text it answers this machine only.",
		Example: "claudemesh up\nclaudemesh up --listen 127.0.0.1:7901\nclaudemesh up --listen 0.0.0.0:7900",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.NoDaemon() {
				return shell.Usage(cmd, "up starts the daemon: leave out --no-daemon")
			}
			return runUp(cmd.Context(), a, f)
		},
	}
	cmd.Flags().BoolVar(&f.broker, "broker", false, "start a broker here in any case")
	cmd.Flags().StringVar(&f.listen, "listen", "", "`address` of a new broker on this machine, kept in broker.json (default 127.0.0.1:7900)")
	return cmd
}

// upView is the JSON of up.
type upView struct {
	shell.Header
	OK      bool       `json:"ok" jsonschema:"false when a mesh of this machine's broker is not connected"`
	Broker  *serviceUp `json:"broker,omitzero" jsonschema:"left out where this machine needs none"`
	Daemon  serviceUp  `json:"daemon"`
	Mesh    string     `json:"mesh" jsonschema:"the first one"`
	Meshes  []meshUp   `json:"meshes"`
	Program string     `json:"-"` // what starts this program
	Shared  bool       `json:"-"` // other machines reach the broker
	Brief   bool       `json:"-"` // without what comes next
}

// serviceUp is a service that runs.
type serviceUp struct {
	URL     string `json:"url,omitzero"`
	PID     int    `json:"pid"`
	Started bool   `json:"started" jsonschema:"now, by this verb"`
}

// meshUp is a mesh and how it does.
type meshUp struct {
	Slug      string `json:"slug"`
	Status    string `json:"status"`
	BrokerURL string `json:"broker_url"`
	IsOwner   bool   `json:"is_owner"`
	Made      bool   `json:"made" jsonschema:"now, by this verb"`
	Here      bool   `json:"here" jsonschema:"it lives on this machine's broker"`
	LastError string `json:"last_error,omitzero"`
}

func runUp(ctx context.Context, a *shell.App, f upFlags) error {
	release, err := takeTurn(ctx, a)
	if err != nil {
		return err
	}
	defer release()
	v := upView{Header: shell.NewHeader(), Program: program(a), Brief: f.brief}
	if err := settleHost(ctx, a); err != nil {
		return err
	}
	if v.Daemon.PID, v.Daemon.Started, err = ensureDaemon(ctx, a, nil); err != nil {
		return err
	}
	meshes, err := shell.Call(ctx, a, localapi.Meshes, shell.CallTime, localapi.None{})
	if err != nil {
		return err
	}
	settings, err := settingsFor(a, f.listen, meshes.Meshes)
	if err != nil {
		return err
	}
	v.Shared = settings.TLS() && !loopback(settings.Listen) || settings.PublicURL != ""
	made := ""
	if f.broker || f.listen != "" || len(meshes.Meshes) == 0 || livesHere(meshes.Meshes, settings.Listen) {
		if v.Broker, err = ensureBroker(ctx, a, settings); err != nil {
			return err
		}
	}
	if len(meshes.Meshes) == 0 {
		if made, err = firstMesh(ctx, a, settings); err != nil {
			return err
		}
	}
	if v.Meshes, err = settle(ctx, a, settings.Listen, made); err != nil {
		return err
	}
	if v.Broker != nil && !brokerLives(a) { // it was ending, and has answered for the last time
		if v.Broker, err = ensureBroker(ctx, a, settings); err != nil {
			return err
		}
		if v.Meshes, err = settle(ctx, a, settings.Listen, made); err != nil {
			return err
		}
	}
	return finishUp(a, v)
}

// finishUp prints what stands; a mesh of this machine that is not connected is a failure.
func finishUp(a *shell.App, v upView) error {
	v.OK = true
	for _, m := range v.Meshes {
		v.OK = v.OK && (!m.Here || m.Status == shell.StatusOpen)
	}
	if len(v.Meshes) > 0 {
		v.Mesh = v.Meshes[0].Slug
	}
	if err := a.Print(v, func(s term.Stream) { writeUp(s, v) }); err != nil {
		return err
	}
	if !v.OK {
		return shell.Exit(mesh.ExitNetwork)
	}
	return nil
}

// takeTurn waits for another `up` or `down`.
func takeTurn(ctx context.Context, a *shell.App) (release func(), err error) {
	if err := paths.EnsureDir(a.Home.Config.Dir, paths.DirMode); err != nil {
		return nil, err
	}
	lock := flock.New(a.Home.Config.UpLock(), flock.SetPermissions(paths.FileMode))
	ctx, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	if ok, err := lock.TryLockContext(ctx, pollStep); !ok {
		return nil, mesh.Errorf(mesh.CodeOf(err), "wait for another up or down: %w", err)
	}
	return func() { _ = lock.Unlock() }, nil // ends with the process anyway
}

// Times of up: another one may start everything first; a broker has to answer, and a mesh on it to connect.
const (
	turnTime   = time.Minute
	brokerTime = 10 * time.Second
	settleTime = 5 * time.Second
)

// settle waits for the meshes of this machine's broker to connect, and says how every mesh does.
func settle(ctx context.Context, a *shell.App, listen, made string) (meshes []meshUp, err error) {
	looked := map[string]bool{}
	waitErr := poll(ctx, settleTime, func() bool {
		var answer localapi.MeshesAnswer
		if answer, err = shell.Call(ctx, a, localapi.Meshes, shell.CallTime, localapi.None{}); err != nil {
			return true
		}
		meshes = meshes[:0]
		open := true
		for _, m := range answer.Meshes {
			here := isHere(m.BrokerURL, listen)
			open = open && (!here || m.Status == shell.StatusOpen)
			if here && m.Status != shell.StatusOpen && !looked[m.Slug] { // a daemon that ran before the broker tries ever less often
				looked[m.Slug] = true
				_, _ = shell.Call(ctx, a, localapi.PingBrokers, shell.CallTime, localapi.PingRequest{Mesh: m.Slug}) // the next status tells
			}
			meshes = append(meshes, meshUp{m.Slug, m.Status, m.BrokerURL, m.IsOwner, m.Slug == made, here, m.LastError})
		}
		return open
	})
	if ctx.Err() != nil {
		return nil, waitErr
	}
	return meshes, err // time that is up shows in the statuses
}

// ensureBroker makes this user's broker answer.
func ensureBroker(ctx context.Context, a *shell.App, settings config.Broker) (*serviceUp, error) {
	v := &serviceUp{URL: brokerURL(settings)}
	if brokerLives(a) {
		if err := awaitBroker(ctx, a, settings, nil); !errors.Is(err, errEnded) {
			v.PID = local.ReadPID(a.Home.Broker.PID())
			return v, err
		}
	}
	if err := checkFree(ctx, settings); err != nil {
		return nil, err
	}
	if err := paths.EnsureDir(a.Home.Broker.Dir, paths.DirMode); err != nil {
		return nil, err
	}
	exited, err := local.Spawn(a.Sys.Executable, []string{"broker", "serve"}, a.Sys.Environ, a.Home.Broker.Log())
	if err != nil {
		return nil, err
	}
	if err := awaitBroker(ctx, a, settings, exited); err != nil {
		return nil, err
	}
	v.PID, v.Started = local.ReadPID(a.Home.Broker.PID()), true
	return v, paths.WriteSecret(a.Home.Broker.StartedByUp(), []byte(strconv.Itoa(v.PID)+"\n"))
}

// checkFree refuses an address that something else serves: a broker of another folder or user could not be managed
// from here.
func checkFree(ctx context.Context, settings config.Broker) error {
	if _, err := brokerHealth(ctx, settings); err == nil {
		return mesh.Errorf(mesh.PortInUse, "%s is taken by a broker that is not this user's", settings.Listen)
	}
	conn, err := (&net.Dialer{Timeout: shell.ProbeTime}).DialContext(ctx, "tcp", dialAddress(settings.Listen))
	if err != nil {
		return ctx.Err() // nobody listens
	}
	_ = conn.Close() // it was only a question
	return mesh.Errorf(mesh.PortInUse, "%s is taken by another program", settings.Listen)
}

// errEnded says that a broker that ran has ended: somebody stopped it a moment before.
var errEnded = errors.New("the broker was ending")

// awaitBroker waits until the broker answers and has said which process it is. A child that ended is reported at once, and
// so is one that is not our child, by errEnded.
func awaitBroker(ctx context.Context, a *shell.App, settings config.Broker, exited <-chan error) error {
	ended := error(nil)
	err := poll(ctx, brokerTime, func() bool {
		select {
		case err := <-exited:
			ended = mesh.Errorf(mesh.BrokerDown, "the broker ended at once (%v); log: %s", err, a.Home.Broker.Log())
			return true
		default:
		}
		if exited == nil && !brokerLives(a) {
			ended = errEnded
			return true
		}
		_, err := brokerHealth(ctx, settings)
		return err == nil && local.ReadPID(a.Home.Broker.PID()) != 0
	})
	switch {
	case ended != nil:
		return ended
	case err != nil && ctx.Err() == nil:
		return mesh.Errorf(mesh.BrokerDown, "the broker did not answer within %s; log: %s", brokerTime, a.Home.Broker.Log())
	}
	return err
}

// program is what starts this program in a shell: its name where the shell finds it by that, else its path.
func program(a *shell.App) string {
	if name, ok := shell.OnPath(a); ok {
		return filepath.Base(name)
	}
	return a.Sys.Executable
}

func writeUp(s term.Stream, v upView) {
	if v.Broker != nil {
		s.OK("the broker "+startWord(v.Broker.Started), shell.Facts(v.Broker.URL, "pid "+strconv.Itoa(v.Broker.PID)))
	}
	s.OK("the daemon "+startWord(v.Daemon.Started), "pid "+strconv.Itoa(v.Daemon.PID))
	for _, m := range v.Meshes {
		writeMeshUp(s, m)
	}
	if v.Brief {
		return
	}
	s.Section("next")
	next := [][2]string{
		{v.Program + " install", "puts the sessions of Claude Code and other agents on the mesh"},
		{v.Program + " peers", "shows who is there"},
		{v.Program + " send <name> \"hello\"", "sends a message"},
	}
	for _, m := range v.Meshes {
		if m.IsOwner {
			next = append(next, [2]string{v.Program + " share --mesh " + m.Slug, shareText(m.Here && !v.Shared)})
			break
		}
	}
	for _, n := range next {
		s.Line("%s", s.Paint(term.Cyan, n[0]))
		s.Line("    %s", s.Paint(term.Dim, n[1]))
	}
}

func shareText(hereOnly bool) string {
	if hereOnly {
		return "makes an invite link; with this broker it works on this machine only"
	}
	return "makes an invite link for another machine or person"
}

func startWord(started bool) string {
	if started {
		return "is started"
	}
	return "runs"
}

func writeMeshUp(s term.Stream, m meshUp) {
	made := ""
	if m.Made {
		made = "made now, you own it"
	}
	if m.Status == shell.StatusOpen {
		s.OK("the mesh "+m.Slug+" is connected", made)
		return
	}
	s.Warn("the mesh " + m.Slug + " is not connected: " + shell.Facts(m.Status, m.BrokerURL, m.LastError))
}
