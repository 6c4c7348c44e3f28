package machine

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// NewDown stops what up started.
func NewDown(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop what up started",
		Long: "Stop the daemon and, if `claudemesh up` started it, the broker of this machine. Nothing is lost: what is on its way " +
			"waits.",
		Args: a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDown(cmd.Context(), a) },
	}
}

// downView is the JSON of down.
type downView struct {
	shell.Header
	OK     bool    `json:"ok"`
	Daemon stopped `json:"daemon"`
	Broker stopped `json:"broker"`
}

func runDown(ctx context.Context, a *shell.App) error {
	if err := shell.Outside(a, "the daemon is stopped"); err != nil {
		return err
	}
	release, err := takeTurn(ctx, a)
	if err != nil {
		return err
	}
	defer release()
	v := downView{Header: shell.NewHeader()}
	if v.Daemon, err = stopDaemon(ctx, a); err != nil {
		return mesh.Errorf(mesh.CodeOf(err), "stop the daemon: %w", err)
	}
	if v.Broker, err = stopBroker(ctx, a); err != nil {
		return mesh.Errorf(mesh.CodeOf(err), "stop the broker: %w", err)
	}
	v.OK = v.Daemon.Reason != reasonTimeout && v.Broker.Reason != reasonTimeout
	if err := a.Print(v, func(s term.Stream) { writeDown(s, v) }); err != nil {
		return err
	}
	if !v.OK {
		return shell.Exit(mesh.ExitCancelled)
	}
	return nil
}

// StopAll stops the daemon, and the broker that up started. Another broker of this user is already_running.
func StopAll(ctx context.Context, a *shell.App) error {
	release, err := takeTurn(ctx, a)
	if err != nil {
		return err
	}
	defer release()
	daemon, err := stopDaemon(ctx, a)
	if err != nil {
		return mesh.Errorf(mesh.CodeOf(err), "stop the daemon: %w", err)
	}
	broker, err := stopBroker(ctx, a)
	switch {
	case err != nil:
		return mesh.Errorf(mesh.CodeOf(err), "stop the broker: %w", err)
	case broker.Reason == reasonForeign:
		return mesh.Errorf(mesh.AlreadyRunning, "a broker runs that `claudemesh up` did not start, process %d: stop it first", broker.PID)
	case daemon.Reason == reasonTimeout || broker.Reason == reasonTimeout:
		return mesh.Errorf(mesh.Timeout, "daemon or broker did not stop")
	}
	return nil
}

func writeDown(s term.Stream, v downView) {
	writeStopped(s, "the daemon", v.Daemon)
	writeStopped(s, "the broker", v.Broker)
	if v.Daemon.Stopped || v.Broker.Stopped {
		s.Hint("claudemesh up starts again what is needed")
	}
}

// stopBroker stops the broker that up started, and no other.
func stopBroker(ctx context.Context, a *shell.App) (stopped, error) {
	lives := func() bool { return brokerLives(a) }
	mark := a.Home.Broker.StartedByUp()
	if pid := local.ReadPID(a.Home.Broker.PID()); lives() && (pid == 0 || local.ReadPID(mark) != pid) {
		return stopped{PID: pid, Reason: reasonForeign}, nil
	}
	v, err := stop(ctx, lives, a.Home.Broker.PID())
	if err == nil && v.Reason != reasonTimeout {
		_ = os.Remove(mark) // a stale one names a dead process and stops nothing
	}
	return v, err
}
