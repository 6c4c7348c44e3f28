package machine

import (
	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
)

// NewDemo shows messages between two homes.
func NewDemo(a *shell.App) *cobra.Command {
	var stage, channels string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show messages between two homes on this machine, then clean up",
		Long: "Run a broker, two homes and their daemons in a temporary folder and send messages between them, also across crashes. " +
			"Nothing outside the folder is touched, and it is removed at the end.",
		Args: a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags := map[string]string{"stage": stage}
			if channels != "" {
				flags["channels"] = channels
			}
			return a.Sys.Services.Demo(cmd.Context(), a.DaemonService(flags))
		},
	}
	cmd.Flags().StringVar(&stage, "stage", "", "`folder` to play in, for the program itself")
	_ = cmd.Flags().MarkHidden("stage") // the flag was made a line above
	cmd.Flags().StringVar(&channels, "channels", "", "`servers` whose channels the program shows: it plays a host, and is asked for its command line")
	_ = cmd.Flags().MarkHidden("channels") // as above
	return cmd
}
