package machine

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

func newAcceptHost(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "accept-host",
		Short: "Let the daemon run on this machine with a folder from another one",
		Long: "Let the daemon run on this machine, though its folder was made on another one: a home that was copied, or an image that was " +
			"restored. Do it when the other machine no longer uses the keys; two daemons with the same keys take each other's messages.",
		Example: "claudemesh daemon accept-host",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := shell.Outside(a, "a machine is accepted"); err != nil {
				return err
			}
			return runAcceptHost(cmd.Context(), a)
		},
	}
}

// acceptedView is the JSON of daemon accept-host.
type acceptedView struct {
	shell.Header
	OK bool `json:"ok"`
	upkeep.Accepted
}

func runAcceptHost(ctx context.Context, a *shell.App) error {
	done, err := acceptHost(ctx, a)
	if err != nil {
		return err
	}
	return a.Print(acceptedView{shell.NewHeader(), true, done}, func(s term.Stream) { s.OK("the daemon may run on this machine", done.Prefix) })
}

func acceptHost(ctx context.Context, a *shell.App) (upkeep.Accepted, error) {
	done, err := a.Sys.Services.DaemonKeeper.Accept(ctx, upkeep.Site{Home: a.Home, Now: a.Sys.Now})
	if err == nil {
		forgetFailure(a)
	}
	return done, err
}

// forgetFailure lets the next verb start the daemon, now that what kept it from starting may be mended.
func forgetFailure(a *shell.App) {
	_ = os.Remove(a.Home.Daemon.SpawnFailure()) // where it stays, the next verb waits a moment
}

// settleHost asks, before a daemon is started, whether it may run here with a folder from another machine. Where nobody
// can answer it is refused: a daemon that ended at once would be started again and again.
func settleHost(ctx context.Context, a *shell.App) error {
	if a.Starter().Lives() {
		return nil
	}
	moved := shell.Moved(ctx, a)
	if !mesh.IsCode(moved, mesh.HostMismatch) || !a.Err.TTY || shell.Outside(a, "") != nil {
		return moved
	}
	if err := shell.Confirm(nil, a, mesh.PublicText(moved)+"; accept this one"); err != nil {
		return moved
	}
	_, err := acceptHost(ctx, a)
	return err
}
