package cli

import (
	"bytes"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func newCompletions(a *shell.App) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use: "completions <shell>", Aliases: []string{"completion"},
		Short: "Print the script that completes words in a shell",
		Long: "Print the script that completes verbs, flags, meshes and peers in bash, zsh, fish or powershell. Peers and meshes " +
			"are asked of the daemon, if it runs.",
		Example: "source <(claudemesh completions bash)                  # in ~/.bashrc\n" +
			"claudemesh completions zsh > \"${fpath[1]}/_claudemesh\"\n" +
			"claudemesh completions fish > ~/.config/fish/completions/claudemesh.fish",
		Args:      shell.Exactly("the shell"),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			script, err := completionScript(cmd, args[0], shells)
			if err != nil {
				return err
			}
			v := completionsView{shell.NewHeader(), args[0], script}
			return a.Print(v, func(s term.Stream) { _, _ = s.Write([]byte(script)) }) // into memory
		},
	}
}

// completionsView is the JSON of completions.
type completionsView struct {
	shell.Header
	Shell  string `json:"shell"`
	Script string `json:"script"`
}

func completionScript(cmd *cobra.Command, name string, names []string) (string, error) {
	var script bytes.Buffer
	var err error
	switch root := cmd.Root(); name {
	case "bash":
		err = root.GenBashCompletionV2(&script, true)
	case "zsh":
		err = root.GenZshCompletion(&script)
	case "fish":
		err = root.GenFishCompletion(&script, true)
	case "powershell":
		err = root.GenPowerShellCompletionWithDesc(&script)
	default:
		return "", shell.Usage(cmd, "%q is not one of %s", name, strings.Join(names, ", "))
	}
	if err != nil {
		return "", mesh.Errorf(mesh.Internal, "make the script: %w", err)
	}
	return strings.Replace(script.String(), bashWords, bashWordsAnywhere, 1), nil
}

// What cobra's script for bash calls is in the package bash-completion, which not every machine has loaded: without it the shell
// says itself what was typed, with words that are parted at : and =.
const (
	bashWords         = "    _get_comp_words_by_ref \"$@\" cur prev words cword\n"
	bashWordsAnywhere = `    if declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
        _get_comp_words_by_ref "$@" cur prev words cword
    else
        words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
        cur=${words[cword]} prev=${words[cword - 1]}
    fi
`
)
