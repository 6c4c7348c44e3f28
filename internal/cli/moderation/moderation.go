// Package moderation is the verbs that keep order in a mesh: close connections, ban members, take bans back.
package moderation

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// Under are the verbs as they stand under the noun peer.
func Under(a *shell.App) []*cobra.Command {
	return []*cobra.Command{
		shell.CopyOf("kick", NewKick(a)), shell.CopyOf("disconnect", NewDisconnect(a)), shell.CopyOf("ban", NewBan(a)),
		shell.CopyOf("unban", NewUnban(a)), shell.CopyOf("bans", NewBans(a)),
	}
}

const (
	whoMay = "This takes the key of the mesh's owner, or that of an admin; the owner is spared, and admins are by other admins. It is for " +
		"a human in a terminal: a host session is refused."
	whoIsMeant = "<peer> is a name that only one has, a key, or the first 16 or more characters of one."
)

// NewKick closes sessions for good.
func NewKick(a *shell.App) *cobra.Command {
	req := localapi.ModerateRequest{Verb: localapi.VerbKick}
	cmd := closing(a, &req)
	cmd.Use, cmd.Short = "kick [peer]", "Close a peer's sessions until they are started again"
	cmd.Long = "Close the sessions of a peer: a session, or all of a member's. Each stays away until somebody starts it again. A daemon is not " +
		"kicked, for it would come back: ban keeps a member out.\n\n" + whoIsMeant + " --stale means those of whom nothing was heard for so " +
		"long, --all everybody but the owner and you. On a terminal it asks first, elsewhere it needs --yes.\n\n" + whoMay
	cmd.Example = "claudemesh kick build\nclaudemesh kick --stale 1m --mesh team --yes"
	cmd.Annotations = map[string]string{shell.AlsoKey: "peer kick"}
	return cmd
}

// NewDisconnect closes connections that come back.
func NewDisconnect(a *shell.App) *cobra.Command {
	req := localapi.ModerateRequest{Verb: localapi.VerbDisconnect}
	cmd := closing(a, &req)
	cmd.Use, cmd.Short = "disconnect [peer]", "Close a peer's connections, which come back by themselves"
	cmd.Long = "Close the connections of a peer: a session, or all of a member's with its daemon. They come back by themselves; nothing is " +
		"lost.\n\n" + whoIsMeant + " --stale means those of whom nothing was heard for so long, --all everybody but you.\n\n" + whoMay
	cmd.Example = "claudemesh disconnect build\nclaudemesh disconnect --all --mesh team"
	cmd.Annotations = map[string]string{shell.AlsoKey: "peer disconnect"}
	return cmd
}

// closing is what kick and disconnect share.
func closing(a *shell.App, req *localapi.ModerateRequest) *cobra.Command {
	var stale time.Duration
	cmd := &cobra.Command{
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return shell.Usage(cmd, "%q is one word too many", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := readTarget(cmd, req, args, stale); err != nil {
				return err
			}
			if req.Verb == localapi.VerbKick {
				if err := shell.Confirm(cmd, a, "this ends "+meant(*req)+" until somebody starts them again"); err != nil {
					return err
				}
			}
			return runClosing(cmd.Context(), a, *req)
		},
		ValidArgsFunction: a.CompletePeers,
	}
	cmd.Flags().DurationVar(&stale, "stale", 0, "those of whom nothing was heard for this `time`, such as 5m")
	cmd.Flags().BoolVar(&req.All, "all", false, "everybody else")
	meshFlag(a, cmd, &req.Mesh)
	return cmd
}

func meshFlag(a *shell.App, cmd *cobra.Command, slug *string) {
	cmd.Flags().StringVar(slug, "mesh", "", "in this mesh, by its short `name`; may be left out where one is joined")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
}

// readTarget wants exactly one way to say who is meant: more than one would hit others than some of them say.
func readTarget(cmd *cobra.Command, req *localapi.ModerateRequest, args []string, stale time.Duration) error {
	ways := len(args)
	if req.All {
		ways++
	}
	if cmd.Flags().Changed("stale") {
		ways++
		if stale < time.Second {
			return shell.Usage(cmd, "--stale takes 1s or more")
		}
	}
	if ways != 1 {
		return shell.Usage(cmd, "say who is meant, in one way: a peer, --stale, or --all")
	}
	req.StaleMs = stale.Milliseconds()
	if len(args) == 1 {
		req.Target = args[0]
	}
	return nil
}

func meant(req localapi.ModerateRequest) string {
	switch {
	case req.All:
		return "the sessions of everybody else"
	case req.StaleMs > 0:
		return "the sessions of whom nothing was heard"
	}
	return "the sessions of " + req.Target
}

// view is the JSON of kick, disconnect, ban and unban.
type view struct {
	shell.Header
	localapi.ModerateAnswer
}

func runClosing(ctx context.Context, a *shell.App, req localapi.ModerateRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Moderate, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(view{shell.NewHeader(), answer}, func(s term.Stream) { writeClosed(s, answer) })
}

func writeClosed(s term.Stream, answer localapi.ModerateAnswer) {
	done := map[string]string{localapi.VerbKick: "kicked", localapi.VerbDisconnect: "disconnected"}[answer.Verb]
	switch {
	case len(answer.Affected) > 0:
		s.OK(done+" "+strings.Join(answer.Affected, ", "), term.Clean(answer.Mesh))
	case len(answer.SkippedControlPlane) == 0:
		s.Empty("nobody who is connected is meant")
	default:
		s.Empty("no session is meant")
	}
	if len(answer.SkippedControlPlane) > 0 {
		s.Line("%s", s.Paint(term.Dim, "a daemon comes back by itself and is not kicked: "+term.Clean(strings.Join(answer.SkippedControlPlane, ", "))))
		s.Hint("claudemesh ban <member> keeps a member out")
	}
}

// NewBan ends a membership.
func NewBan(a *shell.App) *cobra.Command {
	req := localapi.ModerateRequest{Verb: localapi.VerbBan}
	cmd := &cobra.Command{
		Use: "ban <peer>", Short: "Keep a member out of the mesh until it is unbanned",
		Long: "Keep a member out of the mesh: its connections end at once, its key is not let in any more, and what it wrote and nobody has " +
			"yet is withdrawn. What others sent to it waits, for an unban. A session means its member.\n\n" + whoIsMeant + " The reason is " +
			"shown to the member, and in the list of bans. On a terminal it asks first, elsewhere it needs --yes.\n\n" + whoMay,
		Example:     "claudemesh ban ben@laptop --reason 'floods the mesh'\nclaudemesh ban 5e55102301234567 --mesh team --yes",
		Annotations: map[string]string{shell.AlsoKey: "peer ban"},
		Args:        shell.Exactly("the peer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Target = args[0]
			if err := shell.Confirm(cmd, a, "this keeps the member behind "+req.Target+" out of the mesh"); err != nil {
				return err
			}
			return runMember(cmd.Context(), a, req)
		},
		ValidArgsFunction: a.CompletePeers,
	}
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, in one line of `text`")
	meshFlag(a, cmd, &req.Mesh)
	return cmd
}

// NewUnban gives a membership back.
func NewUnban(a *shell.App) *cobra.Command {
	req := localapi.ModerateRequest{Verb: localapi.VerbUnban}
	cmd := &cobra.Command{
		Use: "unban <member>", Short: "Let a banned member in again",
		Long: "Let a banned member in again, with its key, its role, and what was sent to it before the ban. <member> is a name of `claudemesh " +
			"bans` that only one there has, a key, or the first 16 or more characters of one. The member is back when it joins once more, " +
			"or its daemon or a session is started anew.\n\n" + whoMay,
		Example:     "claudemesh unban ben@laptop",
		Annotations: map[string]string{shell.AlsoKey: "peer unban"},
		Args:        shell.Exactly("the member"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Target = args[0]
			return runMember(cmd.Context(), a, req)
		},
		ValidArgsFunction: completeBanned(a),
	}
	meshFlag(a, cmd, &req.Mesh)
	return cmd
}

func runMember(ctx context.Context, a *shell.App, req localapi.ModerateRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Moderate, shell.CallTime, req)
	if err != nil {
		return err
	}
	if answer.OpenInvites > 0 {
		a.Warn("%s, also for another key of the same person: `claudemesh invites` lists them",
			shell.Count(answer.OpenInvites, "invite still works", "invites still work"))
	}
	return a.Print(view{shell.NewHeader(), answer}, func(s term.Stream) {
		name := strings.Join(answer.Affected, ", ")
		if answer.Verb == localapi.VerbUnban {
			s.OK(name+" is let in again", shell.Facts(term.Clean(answer.Mesh), term.Clean(answer.Pubkey.Short())))
			s.Hint("they are back when they join once more, or start their daemon or a session anew")
			return
		}
		s.OK(name+" is banned", shell.Facts(term.Clean(answer.Mesh), term.Clean(answer.Pubkey.Short())))
		s.Hint("claudemesh unban " + term.Clean(answer.Pubkey.Short()) + " takes it back")
	})
}

// NewBans lists who is banned.
func NewBans(a *shell.App) *cobra.Command {
	var req localapi.BansRequest
	cmd := &cobra.Command{
		Use: "bans", Short: "List who is banned",
		Long:        "List who is banned from a mesh, newest first: the name, the key, when, and why. Every member may read it.\n\nThe JSON is an array of bans.",
		Example:     "claudemesh bans\nclaudemesh bans --mesh team --json=name,pubkey",
		Annotations: map[string]string{shell.AlsoKey: "peer bans"},
		Args:        a.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return runBans(cmd.Context(), a, req) },
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "of this mesh, by its short `name`; may be left out where one is joined")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func runBans(ctx context.Context, a *shell.App, req localapi.BansRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Bans, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(answer.Bans, func(s term.Stream) {
		if len(answer.Bans) == 0 {
			s.Empty("nobody is banned")
		}
		for _, b := range answer.Bans {
			s.Line("%s  %s", s.Paint(term.Bold, term.Clean(b.Name)), s.Paint(term.Dim, shell.Facts(
				term.Clean(b.Pubkey.Short()), term.Clean(shell.Ago(a.Now(), b.RevokedAt)), term.Clean(b.Reason))))
		}
	})
}

// completeBanned offers the names of who is banned; it never starts a daemon.
func completeBanned(a *shell.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		slug, _ := cmd.Flags().GetString("mesh") // without it the only one
		answer, err := shell.Soon(cmd, a, localapi.Bans, localapi.BansRequest{Mesh: slug})
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp // nobody is there to read why
		}
		var words []string
		for _, b := range answer.Bans {
			if shell.Completable(b.Name) {
				words = append(words, cobra.CompletionWithDesc(b.Name, b.Pubkey.Short()))
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}
