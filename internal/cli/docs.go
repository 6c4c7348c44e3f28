package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/reference"
)

// newDocs writes the generated pages; it is for the makers of this program.
func newDocs(a *app, root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "docs <folder>", Hidden: true, Short: "Write the generated pages of the documentation",
		Args: exactly("the folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			pages, err := pages(root)
			if err != nil {
				return err
			}
			for name, text := range pages {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil {
					return mesh.Errorf(mesh.IOError, "write a page: %w", err)
				}
			}
			return a.print(okView{newHeader(), true}, func(s term.Stream) { s.OK("wrote the generated pages", args[0]) })
		},
	}
}

// pages gives every generated page by file name.
func pages(root *cobra.Command) (map[string]string, error) {
	settings, err := reference.Config()
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"protocol.md": reference.Protocol(),
		"localapi.md": reference.LocalAPI(),
		"errors.md":   reference.Errors(),
		"config.md":   settings,
		"cli.md":      verbsPage(root),
	}, nil
}

// verbsPage is docs/cli.md: every verb with its flags.
func verbsPage(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(reference.Banner + "# Verbs\n\nEvery verb takes these:\n\n```\n" + flags(root.PersistentFlags()) + "```\n")
	for _, cmd := range root.Commands() {
		verbPage(&b, cmd)
	}
	return b.String()
}

func verbPage(b *strings.Builder, cmd *cobra.Command) {
	if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
		return
	}
	if cmd.HasSubCommands() {
		for _, sub := range cmd.Commands() {
			verbPage(b, sub)
		}
		return
	}
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(b, "\n## `%s`\n\n%s\n\n```\n%s\n", cmd.CommandPath(), text, cmd.UseLine())
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(b, "also: %s\n", strings.Join(cmd.Aliases, ", "))
	}
	if own := flags(cmd.NonInheritedFlags()); own != "" {
		b.WriteString("\n" + own)
	}
	b.WriteString("```\n")
	if cmd.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", cmd.Example)
	}
}

// flags is the help text of a set, without the flag that asks for it.
func flags(set *pflag.FlagSet) string {
	kept := pflag.NewFlagSet("", pflag.ContinueOnError)
	kept.SortFlags = true
	set.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "version" && !f.Hidden {
			kept.AddFlag(f)
		}
	})
	return kept.FlagUsages()
}
