package cli

import (
	"context"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

func newUp(a *app) *cobra.Command {
	var withBroker bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Set everything up on this machine: broker, mesh, daemon",
		Long: "Set everything up on this machine, without an account and without the network: a broker on 127.0.0.1, a mesh if\n" +
			"none is joined, and the daemon. It can be run again at any time. On a machine whose meshes live elsewhere it\n" +
			"starts no broker, unless --broker is given.",
		Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), withBroker) },
	}
	cmd.Flags().BoolVar(&withBroker, "broker", false, "start a broker here in any case")
	return cmd
}

// upView is the JSON of up.
type upView struct {
	header
	OK        bool   `json:"ok"`
	Broker    string `json:"broker,omitzero" jsonschema:"url of this machine's broker; left out where none is needed"`
	BrokerPID int    `json:"broker_pid,omitzero"`
	DaemonPID int    `json:"daemon_pid"`
	Mesh      string `json:"mesh"`
	MadeMesh  bool   `json:"made_mesh"`
}

func (a *app) up(ctx context.Context, withBroker bool) error {
	v := upView{header: newHeader(), OK: true}
	meshes, err := call(ctx, a, localapi.Meshes, callTime, localapi.None{})
	if err != nil {
		return err
	}
	settings, err := a.brokerSettings()
	if err != nil {
		return err
	}
	if withBroker || len(meshes.Meshes) == 0 || usesBroker(meshes.Meshes, settings.Listen) {
		if v.BrokerPID, err = a.ensureBroker(ctx, settings.Listen); err != nil {
			return err
		}
		v.Broker = "http://" + settings.Listen
	}
	if len(meshes.Meshes) == 0 {
		made, err := a.firstMesh(ctx, settings.Listen)
		if err != nil {
			return err
		}
		v.Mesh, v.MadeMesh = made.Slug, true
	} else {
		v.Mesh = meshes.Meshes[0].Slug
	}
	health, err := a.health(ctx)
	if err != nil {
		return err
	}
	v.DaemonPID = health.PID
	return a.print(v, func(s term.Stream) { writeUp(s, v) })
}

func writeUp(s term.Stream, v upView) {
	if v.Broker != "" {
		s.OK("broker", v.Broker+", pid "+strconv.Itoa(v.BrokerPID))
	}
	s.OK("daemon", "pid "+strconv.Itoa(v.DaemonPID))
	if v.MadeMesh {
		s.OK("mesh "+v.Mesh, "made now, you own it")
	} else {
		s.OK("mesh "+v.Mesh, "")
	}
	s.Section("next")
	s.Pairs(
		[2]string{"claude mcp add -s user claudemesh -- claudemesh mcp", "puts every Claude Code session on the mesh"},
		[2]string{"claudemesh peers", "shows who is there"},
		[2]string{"claudemesh send <name> \"hello\"", "sends a message"},
		[2]string{"claudemesh share", "makes a link for another machine or person"},
	)
}

// usesBroker reports whether a joined mesh lives on the broker behind a listen address.
func usesBroker(meshes []localapi.Mesh, listen string) bool {
	for _, m := range meshes {
		if u, err := url.Parse(m.BrokerURL); err == nil && u.Host == listen {
			return true
		}
	}
	return false
}

// firstMesh makes the mesh of a fresh machine.
func (a *app) firstMesh(ctx context.Context, listen string) (localapi.Mesh, error) {
	answer, err := call(ctx, a, localapi.MeshCreate, callTime, localapi.MeshCreateRequest{
		Name: mesh.SlugOf(a.env.User) + "-mesh", BrokerURL: "ws://" + listen + "/ws",
	})
	return answer.Mesh, err
}

// brokerBudget is how long a new broker may take to answer.
const brokerBudget = 10 * time.Second

// ensureBroker makes this machine's broker answer and gives its pid.
func (a *app) ensureBroker(ctx context.Context, listen string) (int, error) {
	if _, err := brokerHealth(ctx, listen); err == nil {
		return readPID(a.home.Broker.PID()), nil
	}
	if conn, err := (&net.Dialer{Timeout: probeTime}).DialContext(ctx, "tcp", listen); err == nil {
		_ = conn.Close() // it was only a question
		return 0, mesh.Errorf(mesh.PortInUse, "%s is taken by another program", listen)
	}
	if err := paths.EnsureDir(a.home.Broker.Dir, paths.DirMode); err != nil {
		return 0, err
	}
	exited, err := local.Spawn(a.sys.Executable, []string{"broker", "serve"}, a.sys.Environ, a.home.Broker.Log())
	if err != nil {
		return 0, err
	}
	if err := a.awaitBroker(ctx, listen, exited); err != nil {
		return 0, err
	}
	pid := readPID(a.home.Broker.PID())
	if err := paths.WriteSecret(a.startedHere(), []byte(strconv.Itoa(pid))); err != nil {
		return 0, err
	}
	return pid, nil
}

func (a *app) awaitBroker(ctx context.Context, listen string, exited <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, brokerBudget)
	defer cancel()
	tick := time.NewTicker(stopStep)
	defer tick.Stop()
	for {
		if _, err := brokerHealth(ctx, listen); err == nil {
			return nil
		}
		select {
		case err := <-exited:
			return mesh.Errorf(mesh.BrokerDown, "the broker ended at once (%v); log: %s", err, a.home.Broker.Log())
		case <-ctx.Done():
			return mesh.Errorf(mesh.BrokerDown, "the broker did not answer within %s; log: %s", brokerBudget, a.home.Broker.Log())
		case <-tick.C:
		}
	}
}

// startedHere names the file that says which broker `up` started, so that `down` stops no other.
func (a *app) startedHere() string {
	return a.home.Broker.Dir + string(os.PathSeparator) + "started-by-up"
}

func newDown(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop what up started",
		Long:  "Stop the daemon and, if `claudemesh up` started it, the broker of this machine. Nothing is lost: messages wait.",
		Args:  a.noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.down(cmd.Context()) },
	}
}

// downView is the JSON of down.
type downView struct {
	header
	OK     bool        `json:"ok"`
	Daemon stoppedView `json:"daemon"`
	Broker stoppedView `json:"broker"`
}

func (a *app) down(ctx context.Context) error {
	v := downView{header: newHeader()}
	var err error
	if v.Daemon, err = a.stopDaemon(ctx); err != nil {
		return err
	}
	if v.Broker, err = a.stopBroker(ctx); err != nil {
		return err
	}
	v.OK = v.Daemon.Reason != reasonTimeout && v.Broker.Reason != reasonTimeout
	if err := a.print(v, func(s term.Stream) {
		writeStopped(s, "the daemon", v.Daemon)
		writeStopped(s, "the broker", v.Broker)
	}); err != nil {
		return err
	}
	if !v.OK {
		return exitError(mesh.ExitCancelled)
	}
	return nil
}

// stopBroker stops the broker that up started, and no other.
func (a *app) stopBroker(ctx context.Context) (stoppedView, error) {
	mine, err := os.ReadFile(a.startedHere())
	pid := readPID(a.home.Broker.PID())
	if err != nil || strings.TrimSpace(string(mine)) != strconv.Itoa(pid) {
		return stoppedView{header: newHeader(), Reason: reasonNotRunning}, nil
	}
	v, err := stop(ctx, func() bool { return local.Locked(a.home.Broker.Lock()) }, pid)
	if err == nil && v.Stopped {
		_ = os.Remove(a.startedHere()) // a stale one names a dead pid and stops nothing
	}
	return v, err
}
