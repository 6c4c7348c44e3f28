// Package grant is the verbs about what others may do to this user's members: grant, revoke, block, unblock.
package grant

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// all stands for every capability on the command line.
const all = "all"

const capabilities = "There are read (see you in the list of peers), dm (write to you), broadcast (reach you by a group or everybody), state-read, " +
	"state-write and file-read. Everybody without an entry has read, dm, broadcast and state-read."

const about = capabilities + "\n\n<peer> is a name, a key, or the first 16 or more characters of one, also of somebody who is offline; a session means " +
	"its member, so that no new session escapes. Your daemon enforces it, and the broker is told. This is for a human in a terminal: a host " +
	"session is refused."

const unheard = "They are not told: what they send is accepted, as for somebody who is away, and stays so."

// NewGrant adds capabilities.
func NewGrant(a *shell.App) *cobra.Command {
	cmd := change(a, localapi.VerbGrant, true)
	cmd.Use, cmd.Short = "grant <peer> <capability>...", "Let a peer do more"
	cmd.Long = "Let a peer do more, beside what it may already; all means everything.\n\n" + about
	cmd.Example = "claudemesh grant ben@laptop file-read\nclaudemesh grant ben@laptop all --mesh team"
	return cmd
}

// NewRevoke takes capabilities away.
func NewRevoke(a *shell.App) *cobra.Command {
	cmd := change(a, localapi.VerbRevoke, true)
	cmd.Use, cmd.Short = "revoke <peer> <capability>...", "Let a peer do less"
	cmd.Long = "Let a peer do less; all leaves nothing, as block does. " + unheard + "\n\n" + about
	cmd.Example = "claudemesh revoke ben@laptop broadcast"
	return cmd
}

// NewBlock takes all capabilities away.
func NewBlock(a *shell.App) *cobra.Command {
	cmd := change(a, localapi.VerbBlock, false)
	cmd.Use, cmd.Short = "block <peer>", "Let a peer do nothing"
	cmd.Long = "Let a peer do nothing: it does not see you, and nothing that it sends reaches you. " + unheard + " `claudemesh unblock` lets " +
		"it in again, with what it wrote in the last days.\n\n" + about
	cmd.Example = "claudemesh block ben@laptop"
	return cmd
}

// NewUnblock goes back to the defaults.
func NewUnblock(a *shell.App) *cobra.Command {
	cmd := change(a, localapi.VerbUnblock, false)
	cmd.Use, cmd.Short = "unblock <peer>", "Let a peer do what everybody may"
	cmd.Long = "Let a peer do what everybody may: no more after a grant, no less after a revoke or block. What it wrote meanwhile then " +
		"arrives, as for somebody who was away.\n\n" + about
	cmd.Example = "claudemesh unblock ben@laptop"
	return cmd
}

// change is what the verbs share; capable ones take capabilities.
func change(a *shell.App, verb string, capable bool) *cobra.Command {
	req := localapi.GrantRequest{Verb: verb}
	cmd := &cobra.Command{
		Args: func(cmd *cobra.Command, args []string) error { return readArgs(cmd, args, capable, &req) },
		RunE: func(cmd *cobra.Command, _ []string) error { return runChange(cmd.Context(), a, req) },
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 || !capable {
				return a.CompletePeers(cmd, args, word)
			}
			return wordsWithout(args[1:]), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "in this mesh, by its short `name`; may be left out where one is joined")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// wordsWithout lists the capabilities that are not yet on the line; all only as the first.
func wordsWithout(typed []string) []string {
	var list []string
	for _, c := range mesh.AllCaps.List() {
		if !slices.Contains(typed, string(c)) {
			list = append(list, string(c))
		}
	}
	if len(typed) == 0 {
		list = append(list, all)
	}
	return list
}

// readArgs reads the words of a line. One that is no capability is refused before anything is asked.
func readArgs(cmd *cobra.Command, args []string, capable bool, req *localapi.GrantRequest) error {
	switch {
	case len(args) == 0:
		return shell.Usage(cmd, "the peer is missing")
	case capable && len(args) == 1:
		return shell.Usage(cmd, "the capability is missing: %s, or %s", mesh.AllCaps, all)
	case !capable && len(args) > 1:
		return shell.Usage(cmd, "%q is one word too many", args[1])
	}
	req.Peer, req.Caps = args[0], nil
	for _, word := range args[1:] {
		if word == all {
			req.Caps = mesh.AllCaps.List()
			continue
		}
		if _, err := mesh.ParseCaps([]mesh.Cap{mesh.Cap(word)}); err != nil {
			return shell.Usage(cmd, "%w", err)
		}
		if !slices.Contains(req.Caps, mesh.Cap(word)) {
			req.Caps = append(req.Caps, mesh.Cap(word))
		}
	}
	return nil
}

// changeView is the JSON of grant, revoke, block and unblock.
type changeView struct {
	shell.Header
	localapi.GrantAnswer
}

func runChange(ctx context.Context, a *shell.App, req localapi.GrantRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Grant, shell.CallTime, req)
	if err != nil {
		return err
	}
	if !answer.BrokerTold {
		a.Warn("the broker of %s does not know it yet: until it does, only your daemon holds to it", answer.Mesh)
	}
	return a.Print(changeView{shell.NewHeader(), answer}, func(s term.Stream) {
		name := cmp.Or(answer.Peer, answer.Pubkey.Short())
		facts := shell.Facts(term.Clean(answer.Mesh), term.Clean(answer.Pubkey.Short()))
		switch {
		case answer.Default:
			s.OK(name+" may do what everybody may", facts)
		case len(answer.Caps) == 0:
			s.OK(name+" is blocked", facts)
			s.Hint("claudemesh unblock " + term.Clean(answer.Pubkey.Short()) + " takes it back")
		default:
			s.OK(name+" may: "+capsText(answer.Caps), facts)
		}
	})
}

func capsText(list []mesh.Cap) string { return mesh.CapsOf(list...).String() }

// NewGrants lists who may do more or less than others.
func NewGrants(a *shell.App) *cobra.Command {
	var req localapi.GrantsRequest
	cmd := &cobra.Command{
		Use: "grants", Short: "List who may do more or less than others",
		Long:    "List those who may do more or less to your member than everybody else.\n\n" + capabilities,
		Example: "claudemesh grants\nclaudemesh grants --mesh team --json",
		Args:    a.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runGrants(cmd.Context(), a, req) },
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "of this mesh, by its short `name`; may be left out where one is joined")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// grantsView is the JSON of grants.
type grantsView struct {
	shell.Header
	Mesh   string                  `json:"mesh"`
	Grants map[mesh.Key][]mesh.Cap `json:"grants"`
	Names  map[mesh.Key]string     `json:"names,omitzero"`
}

func runGrants(ctx context.Context, a *shell.App, req localapi.GrantsRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Grants, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(grantsView{shell.NewHeader(), answer.Mesh, answer.Grants, answer.Names}, func(s term.Stream) {
		keys := slices.SortedFunc(maps.Keys(answer.Grants), func(x, y mesh.Key) int {
			return cmp.Or(cmp.Compare(answer.Names[x], answer.Names[y]), cmp.Compare(x, y))
		})
		for _, key := range keys {
			caps := capsText(answer.Grants[key])
			if len(answer.Grants[key]) == 0 {
				caps = "blocked"
			}
			s.Line("%s  %s  %s", s.Paint(term.Bold, term.Clean(cmp.Or(answer.Names[key], key.Short()))), term.Clean(caps), s.Paint(term.Dim, term.Clean(key.Short())))
		}
		if len(keys) == 0 {
			s.Empty("everybody may: " + mesh.DefaultCaps.String())
		}
	})
}
