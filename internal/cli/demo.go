package cli

import "github.com/spf13/cobra"

func newDemo(a *app) *cobra.Command {
	var stage string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show messages between two homes on this machine, then clean up",
		Long: "Run a broker, two homes and their daemons in a temporary folder and send messages between them, also across crashes. " +
			"Nothing outside the folder is touched, and it is removed at the end.",
		Args: noArgs(a),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.sys.Services.Demo(cmd.Context(), a.daemonService(map[string]string{"stage": stage}))
		},
	}
	cmd.Flags().StringVar(&stage, "stage", "", "`folder` to play in, for the program itself")
	_ = cmd.Flags().MarkHidden("stage") // the flag was made a line above
	return cmd
}
