package cli

import "github.com/spf13/cobra"

func newDemo(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show messages between two homes on this machine, then clean up",
		Long: "Run a broker, two homes and their daemons in a temporary folder and send messages between them, also across\n" +
			"crashes. Nothing outside the folder is touched, and it is removed at the end.",
		Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.sys.Services.Demo(cmd.Context(), a.service(nil))
		},
	}
}
