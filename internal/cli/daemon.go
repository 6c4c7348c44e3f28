package cli

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func newDaemon(a *app) *cobra.Command {
	cmd := noun("daemon", "Run and inspect this user's daemon",
		newDaemonUp(a), newDaemonStatus(a), newDaemonVersion(a), newDaemonDown(a), newOutbox(a))
	cmd.Long = "Run and inspect this user's daemon. It holds the keys, the connections and the messages on their way; verbs start it " +
		"when they need it."
	other := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help() // scripts probe with it: usage on stdout, status 0 (daemon 2.6)
		}
		return other(cmd, args)
	}
	return cmd
}

type daemonUpFlags struct {
	foreground bool
	tcp        bool
	noTCP      bool
	mesh       string
	name       string
}

func newDaemonUp(a *app) *cobra.Command {
	var f daemonUpFlags
	cmd := &cobra.Command{
		Use: "up", Aliases: []string{"start"},
		Short:   "Start the daemon",
		Long:    "Start the daemon in the background, for all joined meshes. Verbs that need it start it by themselves.",
		Example: "claudemesh daemon up\nclaudemesh daemon up --foreground",
		Args:    noArgs(a),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.mesh != "" || f.name != "" {
				a.warn("--mesh and --name have no effect any more: the daemon serves all joined meshes")
			}
			settings := map[string]string{}
			if f.tcp || f.noTCP || cmd.Flags().Changed("tcp") {
				settings["tcp"] = strconv.FormatBool(f.tcp && !f.noTCP)
			}
			if f.foreground {
				return a.sys.Services.Daemon(cmd.Context(), a.daemonService(settings))
			}
			return runDaemonUp(cmd.Context(), a, settings)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.foreground, "foreground", false, "stay in the foreground and log there")
	fl.BoolVar(&f.tcp, "tcp", false, "serve on 127.0.0.1 too, for holders of the local token")
	fl.BoolVar(&f.noTCP, "no-tcp", false, "serve on the socket only, whatever the settings say")
	fl.StringVar(&f.mesh, "mesh", "", "as older service units have it")
	fl.StringVar(&f.name, "name", "", "as older service units have it")
	fl.Lookup("mesh").Hidden, fl.Lookup("name").Hidden = true, true
	return cmd
}

// daemonUpView is the JSON of daemon up.
type daemonUpView struct {
	header
	OK       bool   `json:"ok"`
	Detached bool   `json:"detached"`
	PID      int    `json:"pid"`
	Log      string `json:"log"`
}

func runDaemonUp(ctx context.Context, a *app, settings map[string]string) error {
	pid, started, err := ensureDaemon(ctx, a, settings)
	if err != nil {
		return err
	}
	if !started {
		return mesh.Errorf(mesh.AlreadyRunning, "the daemon runs already (pid %d)", pid)
	}
	v := daemonUpView{newHeader(), true, true, pid, a.home.Daemon.Log()}
	return a.print(v, func(s term.Stream) { s.OK("the daemon runs", joinFacts("pid "+strconv.Itoa(v.PID), "log "+v.Log)) })
}

// ensureDaemon makes the daemon answer, and says whether it had to be started.
func ensureDaemon(ctx context.Context, a *app, settings map[string]string) (pid int, started bool, err error) {
	if health, err := ask(ctx, a, localapi.Health, probeTime, localapi.None{}); err == nil {
		return health.PID, false, nil
	}
	starter := a.starter()
	for name, value := range settings {
		starter.Flags = append(starter.Flags, "--"+name+"="+value)
	}
	started = !starter.Lives()
	if _, err := starter.Start(ctx); err != nil {
		return 0, false, err
	}
	health, err := ask(ctx, a, localapi.Health, probeTime, localapi.None{})
	return health.PID, started, err
}

func newDaemonStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show whether the daemon runs and how each mesh does",
		Long: "Show whether the daemon runs and how each mesh does. The exit status is 1 when it does not run or does not answer.",
		Args: noArgs(a),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDaemonStatus(cmd.Context(), a) },
	}
}

// daemonStatusView is the JSON of daemon status.
type daemonStatusView struct {
	header
	Running  bool                   `json:"running"`
	PID      int                    `json:"pid,omitzero"`
	Health   *localapi.HealthAnswer `json:"health,omitzero"`
	IPCError string                 `json:"ipc_error,omitzero"`
}

func runDaemonStatus(ctx context.Context, a *app) error {
	v := daemonStatusView{header: newHeader()}
	health, err := ask(ctx, a, localapi.Health, probeTime, localapi.None{})
	switch {
	case err == nil:
		v.Running, v.PID, v.Health = true, health.PID, &health
	case a.starter().Lives():
		v.Running, v.PID, v.IPCError = true, readPID(a.home.Daemon.PID()), mesh.PublicText(err)
		if mesh.IsCode(err, mesh.DaemonDown) {
			v.IPCError = "nobody listens at " + a.home.Daemon.Socket()
		}
	}
	if err := a.print(v, func(s term.Stream) { writeDaemonStatus(s, v) }); err != nil {
		return err
	}
	if v.Health == nil {
		return exitError(mesh.ExitCancelled) // 1: scripts test it (cli 4)
	}
	return nil
}

func writeDaemonStatus(s term.Stream, v daemonStatusView) {
	switch {
	case !v.Running:
		s.Off("the daemon does not run")
		s.Hint("claudemesh daemon up")
		return
	case v.Health == nil:
		s.Warn("the daemon runs" + pidFact(v.PID) + " and does not answer: " + v.IPCError)
		return
	}
	up := time.Duration(v.Health.UptimeS) * time.Second
	s.OK("the daemon runs", joinFacts("pid "+strconv.Itoa(v.PID), v.Health.Version, "up "+unit(up)))
	if len(v.Health.Meshes) == 0 {
		writeNothingJoined(s)
	}
	var rows [][2]string
	for _, m := range v.Health.Meshes {
		failed := ""
		if m.OutboxDead > 0 {
			failed = count(m.OutboxDead, "message", "messages") + " failed"
		}
		rows = append(rows, [2]string{m.Mesh, joinFacts(m.Status, waiting(m.OutboxPending), failed, count(m.Sessions, "session", "sessions"))})
		if m.LastError != "" {
			rows = append(rows, [2]string{"", m.LastError})
		}
	}
	s.Rows(rows...)
}

func pidFact(pid int) string {
	if pid == 0 {
		return ""
	}
	return " (pid " + strconv.Itoa(pid) + ")"
}

func newDaemonVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show version and features of the running daemon",
		Args: noArgs(a),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDaemonVersion(cmd.Context(), a) },
	}
}

// daemonVersionView is the JSON of daemon version.
type daemonVersionView struct {
	header
	DaemonVersion string   `json:"daemon_version"`
	IPCAPI        string   `json:"ipc_api"`
	IPCFeatures   []string `json:"ipc_features"`
	IPCSchema     int      `json:"ipc_schema_version"`
}

func runDaemonVersion(ctx context.Context, a *app) error {
	answer, err := ask(ctx, a, localapi.Version, probeTime, localapi.None{})
	if err != nil {
		return err
	}
	v := daemonVersionView{newHeader(), answer.DaemonVersion, answer.IPCAPI, answer.IPCFeatures, answer.SchemaVersion}
	return a.print(v, func(s term.Stream) { writeDaemonVersion(s, v) })
}

func writeDaemonVersion(s term.Stream, v daemonVersionView) {
	s.Pairs([2]string{"daemon", v.DaemonVersion}, [2]string{"ipc", v.IPCAPI + ", schema " + strconv.Itoa(v.IPCSchema)})
	for i, line := range term.Wrap(strings.Join(v.IPCFeatures, ", "), term.Columns-10) {
		s.Line("%s%s", s.Paint(term.Dim, term.Pad([]string{"serves", ""}[min(i, 1)], 8)), term.Clean(line))
	}
}

func newDaemonDown(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "down", Aliases: []string{"stop"},
		Short: "Stop the daemon",
		Long:  "Stop the daemon. Nothing is lost: what is on its way waits. The next verb that needs the daemon starts it again.",
		Args:  noArgs(a),
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDaemonDown(cmd.Context(), a) },
	}
}

// stopped is what came of stopping a service.
type stopped struct {
	Stopped bool   `json:"stopped"`
	PID     int    `json:"pid,omitzero"`
	Reason  string `json:"reason,omitzero" jsonschema:"not_running, shutdown_timeout or not_started_by_up"`
}

// Reasons why a service was not stopped.
const (
	reasonNotRunning = "not_running"
	reasonTimeout    = "shutdown_timeout"
	reasonForeign    = "not_started_by_up"
)

// stoppedView is the JSON of daemon down.
type stoppedView struct {
	header
	stopped
}

func runDaemonDown(ctx context.Context, a *app) error {
	what, err := stopDaemon(ctx, a)
	if err != nil {
		return err
	}
	if err := a.print(stoppedView{newHeader(), what}, func(s term.Stream) { writeStopped(s, "the daemon", what) }); err != nil {
		return err
	}
	if what.Reason == reasonTimeout {
		return exitError(mesh.ExitCancelled) // 1, as scripts know it (daemon 2.6)
	}
	return nil
}

func stopDaemon(ctx context.Context, a *app) (stopped, error) {
	return stop(ctx, a.starter().Lives, a.home.Daemon.PID())
}

func writeStopped(s term.Stream, what string, v stopped) {
	switch {
	case v.Stopped:
		s.OK(what+" is stopped", "pid "+strconv.Itoa(v.PID))
	case v.Reason == reasonNotRunning:
		s.Off(what + " does not run")
	case v.Reason == reasonForeign:
		s.Off(what + pidFact(v.PID) + " was not started by up and goes on")
	default:
		s.Warn(what + pidFact(v.PID) + " was told to stop and still runs")
	}
}

// readPID reads a pid file; 0 when there is none.
func readPID(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

// Times of stopping (daemon 2.6), and of looking whether something happened.
const (
	stopTime = 8 * time.Second
	pollStep = 20 * time.Millisecond
)

// stop ends a service that holds its lock, by its pid file, and waits until the lock is free. The lock, not the file,
// says that it lives, so that no foreign process is ever told to stop.
func stop(ctx context.Context, lives func() bool, pidFile string) (stopped, error) {
	if !lives() {
		return stopped{Reason: reasonNotRunning}, nil
	}
	v := stopped{PID: readPID(pidFile)}
	if v.PID <= 1 {
		return v, mesh.Errorf(mesh.IOError, "it runs, but %s does not say which process it is", pidFile)
	}
	if err := local.Terminate(v.PID); err != nil {
		return v, mesh.Errorf(mesh.IOError, "stop process %d: %w", v.PID, err)
	}
	switch err := poll(ctx, stopTime, func() bool { return !lives() }); {
	case err == nil:
		v.Stopped = true
	case ctx.Err() != nil:
		return v, err
	default:
		v.Reason = reasonTimeout
	}
	return v, nil
}

// poll asks until the answer is yes; the error is that of the context or of the time that is up.
func poll(ctx context.Context, limit time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollStep)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
