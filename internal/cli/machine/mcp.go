package machine

import (
	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
)

// NewMCP serves a host program.
func NewMCP(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "mcp",
		Short: "Serve MCP on standard input and output, for a host program",
		Long: "Serve MCP on standard input and output. A host program starts it, once per session; arriving messages are put into that " +
			"session. `claudemesh install` tells the host programs of this machine.",
		Example: "claude mcp add -s user claudemesh -- claudemesh mcp",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.Sys.Services.MCP(cmd.Context(), a.DaemonService(nil))
		},
	}
}
