package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/reference"
)

// newDocs writes the generated pages; it is for the makers of this program.
func newDocs(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "docs <folder>", Hidden: true, Short: "Write the generated pages of the documentation",
		Args: shell.Exactly("the folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			pages, err := pages(a)
			if err != nil {
				return err
			}
			for name, text := range pages {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil {
					return mesh.Errorf(mesh.IOError, "write a page: %w", err)
				}
			}
			return a.PrintOK("wrote the generated pages", args[0])
		},
	}
}

// pages gives every generated page by file name.
func pages(a *shell.App) (map[string]string, error) {
	settings, err := reference.Config()
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"protocol.md":  reference.Protocol(),
		"localapi.md":  reference.LocalAPI(),
		"errors.md":    reference.Errors(),
		"config.md":    settings,
		"metrics.md":   reference.Metrics(),
		"cli.md":       verbsPage(fullTree(a)),
		"claudemesh.1": manPage(fullTree(a)),
	}, nil
}

// verbsPage is docs/cli.md: the help page of every verb, in the order of the root page.
func verbsPage(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(reference.Banner + "# Verbs\n\n" +
		"Data goes to standard output, everything else to standard error. With `--json` the answer is JSON: objects begin with\n" +
		"`schema_version`, lists are bare arrays, and a verb that fails prints `{schema_version, ok: false, error, code, hint}`. Exit\n" +
		"statuses are in [errors.md](errors.md).\n\n## Every verb takes these\n\n```\n")
	var rows bytes.Buffer
	writeRows(term.NewStream(&rows, true), flagRows(root.PersistentFlags()))
	b.WriteString(rows.String() + "```\n")
	for _, sec := range contents() {
		for _, v := range sec.verbs {
			if cmd, _, err := root.Find(v.names[:1]); err == nil && sec.title != "" {
				verbPage(&b, cmd)
			}
		}
	}
	return b.String()
}

func verbPage(b *strings.Builder, cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		verbPage(b, sub)
	}
	if cmd.HasSubCommands() {
		return
	}
	var page bytes.Buffer
	writeHelp(term.NewStream(&page, true), cmd)
	text, _, _ := strings.Cut(page.String(), "\n  Every verb takes ")
	fmt.Fprintf(b, "\n## `%s`\n\n```\n%s\n```\n", cmd.CommandPath(), strings.Trim(text, "\n"))
}
