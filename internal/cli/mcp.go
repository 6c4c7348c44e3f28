package cli

import "github.com/spf13/cobra"

func newMCP(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "mcp",
		Short: "Serve MCP on standard input and output, for a host program",
		Long: "Serve MCP on standard input and output. A host program starts it, once per session; arriving messages are put into that " +
			"session.",
		Example: "claude mcp add -s user claudemesh -- claudemesh mcp",
		Args:    noArgs(a),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.sys.Services.MCP(cmd.Context(), a.daemonService(nil))
		},
	}
}
