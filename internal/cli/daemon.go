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
		newDaemonUp(a), newDaemonStatus(a), newDaemonVersion(a), newDaemonDown(a), newDaemonOutbox(a))
	help := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || args[0] == "help" {
			return cmd.Help() // scripts probe with it: usage on stdout, status 0 (daemon 2.6)
		}
		return help(cmd, args)
	}
	return cmd
}

func newDaemonUp(a *app) *cobra.Command {
	var foreground, tcp bool
	cmd := &cobra.Command{
		Use: "up", Aliases: []string{"start"},
		Short: "Start the daemon",
		Long:  "Start the daemon in the background. Verbs that need it start it by themselves.",
		Args:  a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !foreground {
				return a.daemonUp(cmd.Context())
			}
			flags := map[string]string{}
			if cmd.Flags().Changed("tcp") {
				flags["tcp"] = strconv.FormatBool(tcp)
			}
			return a.sys.Services.Daemon(cmd.Context(), a.service(flags))
		},
	}
	cmd.Flags().BoolVar(&foreground, "foreground", false, "stay in the foreground and log there")
	cmd.Flags().BoolVar(&tcp, "tcp", false, "serve on 127.0.0.1 too, for holders of the local token")
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

func (a *app) daemonUp(ctx context.Context) error {
	health, err := a.health(ctx)
	if err == nil {
		return mesh.Errorf(mesh.AlreadyRunning, "the daemon runs already (pid %d)", health.PID)
	}
	if _, err := a.starter().Start(ctx); err != nil {
		return err
	}
	if health, err = a.health(ctx); err != nil {
		return err
	}
	v := daemonUpView{newHeader(), true, true, health.PID, a.home.Daemon.Log()}
	return a.print(v, func(s term.Stream) { s.OK("the daemon runs", "pid "+strconv.Itoa(v.PID)+", log "+v.Log) })
}

// health asks a daemon that runs; it never starts one.
func (a *app) health(ctx context.Context) (localapi.HealthAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	c := local.New(a.home.Daemon.Socket(), a.sys.Now)
	defer func() { _ = c.Close() }() // only a question was asked
	c.Token = a.sessionToken
	return localapi.Health.Do(ctx, c, localapi.None{})
}

// probeTime is how long a living daemon may take to answer (daemon 16.2).
const probeTime = 2500 * time.Millisecond

func newDaemonStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show whether the daemon runs and how each mesh does",
		Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.daemonStatus(cmd.Context()) },
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

func (a *app) daemonStatus(ctx context.Context) error {
	v := daemonStatusView{header: newHeader()}
	health, err := a.health(ctx)
	switch {
	case err == nil:
		v.Running, v.PID, v.Health = true, health.PID, &health
	case a.starter().Lives():
		v.Running, v.PID, v.IPCError = true, readPID(a.home.Daemon.PID()), mesh.PublicText(err)
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
		s.Line("%s the daemon does not run", s.Paint(term.Dim, "○"))
		s.Hint("claudemesh daemon up")
		return
	case v.Health == nil:
		s.Warn("the daemon runs (pid " + strconv.Itoa(v.PID) + ") but does not answer: " + v.IPCError)
		return
	}
	s.OK("the daemon runs", "pid "+strconv.Itoa(v.PID)+", "+v.Health.Version)
	for _, m := range v.Health.Meshes {
		s.Line("%s %s", s.Paint(term.Bold, m.Mesh), s.Paint(term.Dim, joinFacts(m.Status,
			strconv.Itoa(m.OutboxPending)+" to send", strconv.Itoa(m.Sessions)+" session(s)", m.LastError)))
	}
	if len(v.Health.Meshes) == 0 {
		s.Empty("no mesh joined")
	}
}

func newDaemonVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show version and features of the running daemon",
		Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.global.strict = true // a question about a daemon does not start one
			answer, err := call(cmd.Context(), a, localapi.Version, probeTime, localapi.None{})
			if err != nil {
				return err
			}
			return a.print(answer, func(s term.Stream) {
				s.Line("daemon %s · ipc %s · schema %d", term.Clean(answer.DaemonVersion), term.Clean(answer.IPCAPI), answer.SchemaVersion)
			})
		},
	}
}

func newDaemonDown(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "down", Aliases: []string{"stop"},
		Short: "Stop the daemon",
		Args:  a.noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.daemonDown(cmd.Context()) },
	}
}

// stoppedView is the JSON of daemon down.
type stoppedView struct {
	header
	Stopped bool   `json:"stopped"`
	PID     int    `json:"pid,omitzero"`
	Reason  string `json:"reason,omitzero" jsonschema:"not_running or shutdown_timeout"`
}

func (a *app) daemonDown(ctx context.Context) error {
	v, err := a.stopDaemon(ctx)
	if err != nil {
		return err
	}
	if err := a.print(v, func(s term.Stream) { writeStopped(s, "the daemon", v) }); err != nil {
		return err
	}
	if v.Reason == reasonTimeout {
		return exitError(mesh.ExitCancelled)
	}
	return nil
}

// Reasons of a stoppedView.
const (
	reasonNotRunning = "not_running"
	reasonTimeout    = "shutdown_timeout"
)

func (a *app) stopDaemon(ctx context.Context) (stoppedView, error) {
	return stop(ctx, a.starter().Lives, readPID(a.home.Daemon.PID()))
}

func writeStopped(s term.Stream, what string, v stoppedView) {
	switch {
	case v.Stopped:
		s.OK(what+" is stopped", "pid "+strconv.Itoa(v.PID))
	case v.Reason == reasonNotRunning:
		s.Line("%s %s does not run", s.Paint(term.Dim, "○"), what)
	default:
		s.Warn(what + " (pid " + strconv.Itoa(v.PID) + ") was told to stop and has not yet")
	}
}

// readPID reads a pid file; 0 when there is none.
func readPID(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return pid
}

// Times of stopping (daemon 2.6), and of looking whether it happened.
const (
	stopTime = 8 * time.Second
	stopStep = 20 * time.Millisecond
)

// stop ends a service that holds its lock, by its pid, and waits until the lock is free. The lock, not the pid file,
// says that it lives, so that no foreign process is ever told to stop.
func stop(ctx context.Context, lives func() bool, pid int) (stoppedView, error) {
	v := stoppedView{header: newHeader(), PID: pid}
	if !lives() || pid == 0 {
		v.PID, v.Reason = 0, reasonNotRunning
		return v, nil
	}
	if err := local.Terminate(pid); err != nil {
		return v, mesh.Errorf(mesh.IOError, "stop process %d: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	tick := time.NewTicker(stopStep)
	defer tick.Stop()
	for lives() {
		select {
		case <-ctx.Done():
			v.Reason = reasonTimeout
			return v, nil
		case <-tick.C:
		}
	}
	v.Stopped = true
	return v, nil
}

func newDaemonOutbox(a *app) *cobra.Command {
	var req localapi.OutboxRequest
	flags := map[string]*bool{}
	list := &cobra.Command{
		Use: "list", Short: "List what was sent, newest first", Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for status, on := range flags {
				if *on {
					req.Status = status
				}
			}
			req.Mesh = a.global.mesh
			return a.outbox(cmd.Context(), req)
		},
	}
	for _, f := range []struct{ flag, status string }{
		{"pending", "pending"}, {"inflight", "inflight"}, {"done", "done"}, {"failed", "dead"}, {"aborted", "aborted"},
	} {
		flags[f.status] = list.Flags().Bool(f.flag, false, "only those that are "+f.status)
	}
	list.MarkFlagsMutuallyExclusive("pending", "inflight", "done", "failed", "aborted")
	list.Flags().IntVar(&req.Limit, "limit", 50, "at most this many, 1 to 500")
	return noun("outbox", "Inspect what this machine sends", list)
}

// outboxView is the JSON of daemon outbox list.
type outboxView struct {
	header
	localapi.OutboxAnswer
}

func (a *app) outbox(ctx context.Context, req localapi.OutboxRequest) error {
	answer, err := call(ctx, a, localapi.Outbox, callTime, req)
	if err != nil {
		return err
	}
	return a.print(outboxView{newHeader(), answer}, func(s term.Stream) {
		if len(answer.Items) == 0 {
			s.Empty("empty")
		}
		for _, r := range answer.Items {
			s.Line("%-8s %s %s", r.Status, s.Paint(term.Bold, string(r.ClientMessageID)), s.Paint(term.Dim, joinFacts(
				r.Mesh, term.Short(r.TargetSpec, 16), strconv.Itoa(r.Attempts)+" attempt(s)", deref(r.BrokerMessageID), term.Short(deref(r.LastError), 60))))
		}
	})
}
