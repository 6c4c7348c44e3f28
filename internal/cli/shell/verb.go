package shell

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Unknown refuses a word that is no verb, naming the nearest.
func Unknown(cmd *cobra.Command, word string, names []string) error {
	if strings.Contains(word, "://") {
		return Usage(cmd, "a link is no verb; to join its mesh: claudemesh join '%s'", word)
	}
	text := fmt.Sprintf("there is no verb %q", word)
	if cmd.HasParent() {
		text += " of " + PathOf(cmd)
	}
	if near := mesh.Nearest(word, names); near != "" {
		text += "; did you mean " + near + "?"
	}
	return Usage(cmd, "%s", text)
}

// Noun is a verb that only holds others.
func Noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return Usage(cmd, "%s needs one of: %s", PathOf(cmd), strings.Join(SubNames(cmd), ", "))
			case args[0] == "help":
				return cmd.Help()
			}
			return Unknown(cmd, args[0], SubNames(cmd))
		},
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// SubNames lists the names of the verbs under a noun.
func SubNames(cmd *cobra.Command) []string {
	var all []string
	for _, c := range cmd.Commands() {
		all = append(all, c.Name())
	}
	return all
}

// Annotations of a verb that stands in two places: the one that the root page shows names the other, which names it.
const (
	AlsoKey = "also"
	CopyKey = "copy"
)

// SelfKey marks a noun that also does something without a verb behind it.
const SelfKey = "self"

// CopyOf makes the other one of a verb.
func CopyOf(original string, cmd *cobra.Command) *cobra.Command {
	self := cmd.Annotations[SelfKey]
	if cmd.Annotations = map[string]string{CopyKey: original}; self != "" {
		cmd.Annotations[SelfKey] = self
	}
	return cmd
}

// UseLine is the form of a verb, with the program's name.
func UseLine(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return cmd.Name() + " <verb>"
	}
	line := cmd.Parent().CommandPath() + " " + cmd.Use
	switch {
	case cmd.Annotations[SelfKey] != "":
		line += " [verb] [flags]"
	case cmd.HasSubCommands():
		line += " <verb>"
	case cmd.NonInheritedFlags().HasAvailableFlags():
		line += " [flags]"
	}
	return line
}

// PathOf is the path of a verb without the program's name.
func PathOf(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}
