package cli

import (
	_ "embed"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/skill"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// skillCore is what a session reads before anything else; the topics are put in.
//
//go:embed skill/core.md
var skillCore string

// skillFile is the core's name in a folder of skills; the topics lie beside it.
const skillFile = "SKILL.md"

// skillView is the JSON of skill.
type skillView struct {
	shell.Header
	Name   string   `json:"name"`
	Text   string   `json:"text" jsonschema:"Markdown"`
	Topics []string `json:"topics"`
}

// newSkill prints what a session reads about this program.
func newSkill(a *shell.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "skill [topic]",
		Short: "Print what a session is told about claudemesh",
		Long: "Print the skill that `claudemesh install` gives to Claude Code: how messages are to be taken, how to write, and how to start another session; " +
			"or one of its topics. It is made of the verbs of this version.\n\n" +
			"The verbs under it are about other skills: those that members publish for each other's sessions.",
		Example:     "claudemesh skill\nclaudemesh skill messages",
		Annotations: map[string]string{shell.SelfKey: "skill"},
		Args:        shell.AtMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := skillFile
			if len(args) == 1 {
				name = args[0] + ".md"
			}
			text, ok := skillFiles(fullTree(a))[name]
			if !ok || len(args) == 1 && name == skillFile {
				return mesh.Errorf(mesh.NotFound, "no topic %q; there is %s", args[0], strings.Join(skillTopics(), ", "))
			}
			v := skillView{Header: shell.NewHeader(), Name: strings.TrimSuffix(name, ".md"), Text: text, Topics: skillTopics()}
			return a.Print(v, func(s term.Stream) { _, _ = io.WriteString(s, text) }) // a.Print sees to what fails
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return skillTopics(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.AddCommand(skill.Verbs(a)...)
	return cmd
}

// topicOf is a section's name as a topic.
func topicOf(title string) string { return strings.ReplaceAll(strings.ToLower(title), " ", "-") }

func skillTopics() []string {
	var all []string
	for _, sec := range contents() {
		if sec.title != "" {
			all = append(all, topicOf(sec.title))
		}
	}
	return all
}

// skillFiles is the skill as it lies in a folder, by file name.
func skillFiles(root *cobra.Command) map[string]string {
	files := map[string]string{}
	var topics strings.Builder
	for _, sec := range contents() {
		if sec.title == "" {
			continue
		}
		var names []string
		var page strings.Builder
		fmt.Fprintf(&page, "# claudemesh: %s\n\nEvery verb takes `--json`. `--help` tells the rest.\n", strings.ToLower(sec.title))
		for _, v := range sec.verbs {
			names = append(names, "`"+v.names[0]+"`")
			if cmd, _, err := root.Find(v.names[:1]); err == nil {
				skillVerb(&page, cmd)
			}
		}
		files[topicOf(sec.title)+".md"] = page.String()
		fmt.Fprintf(&topics, "- %s: %s\n", topicOf(sec.title), strings.Join(names, " "))
	}
	files[skillFile] = strings.Replace(skillCore, "{{topics}}\n", topics.String(), 1)
	return files
}

// skillVerb writes a verb, and those under it, with their flags in a line each.
func skillVerb(page *strings.Builder, cmd *cobra.Command) {
	if !cmd.HasSubCommands() || cmd.Annotations[shell.SelfKey] != "" {
		fmt.Fprintf(page, "\n## `%s`\n\n%s.\n", shell.UseLine(cmd), cmd.Short)
		if cmd.Example != "" {
			fmt.Fprintf(page, "\n```sh\n%s\n```\n", cmd.Example)
		}
	}
	for _, sub := range cmd.Commands() {
		if !sub.Hidden && sub.Name() != "help" {
			skillVerb(page, sub)
		}
	}
}
