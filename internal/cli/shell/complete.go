package shell

import (
	"cmp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// completionTime is how long a shell may wait for all that the daemon is asked.
const completionTime = 200 * time.Millisecond

// Soon is Ask for what a shell waits for while somebody types: all calls of one completion share its time.
func Soon[Req, Resp any](cmd *cobra.Command, a *App, c localapi.Call[Req, Resp], req Req) (Resp, error) {
	limit := cmp.Or(a.Sys.CompletionTime, completionTime)
	if a.completing.IsZero() {
		a.completing = a.Now()
	}
	return Ask(cmd.Context(), a, c, limit-a.Now().Sub(a.completing), req)
}

// CompletePeers offers the names of the rosters; it never starts a daemon.
func (a *App) CompletePeers(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	slug, _ := cmd.Flags().GetString("mesh") // without it every mesh
	answer, err := Soon(cmd, a, localapi.Peers, localapi.PeersRequest{Mesh: slug, Offline: true})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp // nobody is there to read why
	}
	var all []candidate
	for _, p := range answer.Peers {
		if !p.IsThisSession && Completable(p.DisplayName) {
			all = gather(all, candidate{p.DisplayName, onlineWord(Online(p)), p.Mesh, p.Pubkey.Short()})
		}
	}
	return completions(all), cobra.ShellCompDirectiveNoFileComp
}

// candidate is a name that can be typed, and what is said beside it.
type candidate struct{ name, kind, mesh, detail string }

// gather adds one that is not there yet. A name that several have is one candidate: bash takes what two descriptions of a word
// have in common for part of the word.
func gather(all []candidate, c candidate) []candidate {
	i := slices.IndexFunc(all, func(o candidate) bool { return o.name == c.name })
	if i < 0 {
		return append(all, c)
	}
	same := &all[i]
	if same.detail = ""; same.mesh != c.mesh {
		same.mesh = "several meshes"
	}
	if c.kind == onlineWord(true) {
		same.kind = c.kind
	}
	return all
}

func completions(all []candidate) (words []string) {
	for _, c := range all {
		words = append(words, cobra.CompletionWithDesc(c.name, Facts(c.kind, c.mesh, c.detail)))
	}
	return words
}

// CompleteTargets offers whom a message can go to: peers, then groups.
func (a *App) CompleteTargets(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	words, directive := a.CompletePeers(cmd, args, word)
	if len(args) == 0 {
		var all []candidate
		for _, g := range groupsOf(a, cmd) {
			all = gather(all, candidate{"@" + g.Name, "group", g.Mesh, Count(g.Count, "member", "members")})
		}
		words = append(words, completions(all)...)
	}
	return words, directive
}

// CompleteGroups offers the groups of the meshes, or those that the caller is in.
func CompleteGroups(a *App, own bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var words []string
		for _, g := range groupsOf(a, cmd) {
			if word := "@" + g.Name; len(args) == 0 && (g.Joined || !own) && !slices.Contains(words, word) {
				words = append(words, word)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// groupsOf lists groups with names that can be put on a command line.
func groupsOf(a *App, cmd *cobra.Command) []localapi.Group {
	slug, _ := cmd.Flags().GetString("mesh") // without it every mesh
	answer, err := Soon(cmd, a, localapi.Groups, localapi.GroupsRequest{Mesh: slug})
	if err != nil {
		return nil // nobody is there to read why
	}
	return slices.DeleteFunc(answer.Groups, func(g localapi.Group) bool { _, err := mesh.ParseGroup(g.Name); return err != nil })
}

// CompleteMeshes offers the slugs of the joined meshes; it never starts a daemon.
func (a *App) CompleteMeshes(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	answer, err := Soon(cmd, a, localapi.Meshes, localapi.None{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp // as above
	}
	var words []string
	for _, m := range answer.Meshes {
		if Completable(m.Slug) {
			words = append(words, m.Slug)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// Completable reports whether a foreign name can be put on a command line as it is.
func Completable(name string) bool { return mesh.CheckName(name) == nil && term.Clean(name) == name }
