package cli

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// newPlugin writes the plugin of Claude Code with its marketplace; it is for the makers of this program.
func newPlugin(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "plugin <folder>", Hidden: true, Short: "Write the plugin of Claude Code and its marketplace",
		Args: shell.Exactly("the folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := install.Plugin(skillFiles(fullTree(a)))
			if err != nil {
				return err
			}
			if err := writeTree(args[0], files); err != nil {
				return err
			}
			return a.PrintOK("wrote the plugin", args[0])
		},
	}
}

// writeTree writes files by their paths below a folder that is there, with the folders on their way.
func writeTree(folder string, files map[string]string) error {
	if _, err := os.Stat(folder); err != nil {
		return mesh.Errorf(mesh.IOError, "find the folder: %w", err)
	}
	for name, text := range files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			return mesh.Errorf(mesh.IOError, "write %s: %w", name, err)
		}
	}
	return nil
}
