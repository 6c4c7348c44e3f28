package machine

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
)

func newDaemonRestart(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "restart",
		Short: "Stop the daemon and start it again",
		Long: "Stop the daemon, if it runs, and start it again as the settings say. Nothing is lost: what is on its way waits. Flags that it was " +
			"started with are gone; settings stay.",
		Example: "claudemesh daemon restart",
		Args:    a.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDaemonRestart(cmd.Context(), a) },
	}
}

// runDaemonRestart fails with timeout where the daemon does not end, and leaves it as it is.
func runDaemonRestart(ctx context.Context, a *shell.App) error {
	if err := shell.Outside(a, "the daemon is stopped"); err != nil {
		return err
	}
	if err := a.Starter().Stop(ctx); err != nil {
		return err
	}
	if err := settleHost(ctx, a); err != nil {
		return err
	}
	pid, _, err := ensureDaemon(ctx, a, nil) // another verb may have been first
	if err != nil {
		return err
	}
	return printDaemonUp(a, pid)
}
