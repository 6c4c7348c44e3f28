package machine

import (
	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
)

// NewMCP serves a host program.
func NewMCP(a *shell.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mcp",
		Short: "Serve MCP on standard input and output, for a host program",
		Long: "Serve MCP on standard input and output. A host program starts it, once per session; arriving messages are put into that " +
			"session. `claudemesh install` tells the host programs of this machine.\n\n" +
			"A host without a shell, such as Claude Desktop, takes --tools: its model then sends and reads by the tools send_message, list_peers, " +
			"check_messages and message_status.",
		Example: "claude mcp add -s user claudemesh -- claudemesh mcp",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags, err := given(cmd.Flags())
			if err != nil {
				return err
			}
			return a.Sys.Services.MCP(cmd.Context(), a.DaemonService(flags))
		},
	}
	cmd.Flags().Bool("tools", false, "offer tools to a host without a shell")
	return cmd
}
