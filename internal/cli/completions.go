package cli

import (
	"bytes"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func newCompletions(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use: "completions <shell>", Aliases: []string{"completion"},
		Short: "Print the script that completes words in a shell",
		Long: "Print the script that completes verbs, flags, meshes and peers in bash, zsh, fish or powershell. Peers and meshes " +
			"are asked of the daemon, if it runs.",
		Example: "source <(claudemesh completions bash)                  # in ~/.bashrc\n" +
			"claudemesh completions zsh > \"${fpath[1]}/_claudemesh\"\n" +
			"claudemesh completions fish > ~/.config/fish/completions/claudemesh.fish",
		Args:      exactly("the shell"),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			script, err := completionScript(cmd, args[0], shells)
			if err != nil {
				return err
			}
			v := completionsView{newHeader(), args[0], script}
			return a.print(v, func(s term.Stream) { _, _ = s.Write([]byte(script)) }) // into memory
		},
	}
}

// completionsView is the JSON of completions.
type completionsView struct {
	header
	Shell  string `json:"shell"`
	Script string `json:"script"`
}

func completionScript(cmd *cobra.Command, shell string, shells []string) (string, error) {
	var script bytes.Buffer
	var err error
	switch root := cmd.Root(); shell {
	case "bash":
		err = root.GenBashCompletionV2(&script, true)
	case "zsh":
		err = root.GenZshCompletion(&script)
	case "fish":
		err = root.GenFishCompletion(&script, true)
	case "powershell":
		err = root.GenPowerShellCompletionWithDesc(&script)
	default:
		return "", usage(cmd, "%q is not one of %s", shell, strings.Join(shells, ", "))
	}
	if err != nil {
		return "", mesh.Errorf(mesh.Internal, "make the script: %w", err)
	}
	return script.String(), nil
}

// completionTime is how long a shell may wait for the daemon's answer.
const completionTime = time.Second

// completePeers offers the names of the rosters; it never starts a daemon.
func completePeers(a *app) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		slug, _ := cmd.Flags().GetString("mesh") // without it every mesh
		answer, err := ask(cmd.Context(), a, localapi.Peers, completionTime, localapi.PeersRequest{Mesh: slug, Offline: true})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // nobody is there to read why
		}
		var words []string
		for _, p := range answer.Peers {
			if !p.IsThisSession && completable(p.DisplayName) {
				words = append(words, cobra.CompletionWithDesc(p.DisplayName, joinFacts(onlineWord(online(p)), p.Mesh, p.Pubkey.Short())))
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeMeshes offers the slugs of the joined meshes; it never starts a daemon.
func completeMeshes(a *app) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		answer, err := ask(cmd.Context(), a, localapi.Meshes, completionTime, localapi.None{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // as above
		}
		var words []string
		for _, m := range answer.Meshes {
			if completable(m.Slug) {
				words = append(words, m.Slug)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completable reports whether a foreign name can be put on a command line as it is.
func completable(name string) bool { return mesh.CheckName(name) == nil && term.Clean(name) == name }
