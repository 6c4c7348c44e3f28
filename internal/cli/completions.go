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
	return strings.NewReplacer(bashMends...).Replace(script.String()), nil
}

// bashMends are what is replaced in cobra's script for bash, each with its replacement; the others have nothing of it. What it calls is in the package bash-completion,
// which not every machine has loaded: without it the shell says itself what was typed, with words that are parted at :, = and @.
// The last of them begins a group and stands in names, and bash puts what is completed behind the last part alone.
var bashMends = []string{
	"\n    _get_comp_words_by_ref \"$@\" cur prev words cword\n", `
    if declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
        _get_comp_words_by_ref "$@" cur prev words cword
        return
    fi
    local i word rest line=$COMP_LINE before=
    words=()
    for i in "${!COMP_WORDS[@]}"; do
        word=${COMP_WORDS[i]} rest=${line#"${line%%[![:blank:]]*}"}
        if [[ $i -gt 0 && $rest == "$line" && ( $word == [:=@]* || $before == *[:=@] ) ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        line=${rest#*"$word"} before=$word
        [[ $i -eq $COMP_CWORD ]] && cword=$((${#words[@]} - 1))
    done
    cur=${words[cword]} prev=${words[cword - 1]}
`,
	"init_completion -n =: ", "init_completion -n =:@ ",
	"    __claudemesh_process_completion_results\n}", `    local typed=$cur
    __claudemesh_process_completion_results
    if [[ -n ${2-} && $typed == *@* ]]; then
        local i
        for i in "${!COMPREPLY[@]}"; do
            COMPREPLY[i]=${COMPREPLY[i]#"${typed%"$2"}"}
        done
    fi
}`,
}

// offerNoFiles keeps shells from offering files where a verb takes no words.
func offerNoFiles(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 && !strings.ContainsAny(c.Use, "<[") {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		offerNoFiles(c)
	}
}
