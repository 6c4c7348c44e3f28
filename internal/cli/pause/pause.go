// Package pause is the verbs by which a human stops what comes to sessions for a while: pause and resume, mute and unmute.
package pause

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

const about = "Nothing is lost: what comes meanwhile is in the inbox, where you can read it, and no session is given any of it. Its senders see it " +
	"delivered, and not surfaced."

// NewPause stops what comes.
func NewPause(a *shell.App) *cobra.Command {
	var req localapi.PauseRequest
	var list bool
	cmd := &cobra.Command{
		Use: "pause", Short: "Keep messages from sessions for a while",
		Long: "Keep from all sessions of this machine what comes: from a peer, in a mesh, or, without either, at all. It holds until `claudemesh resume`, also when " +
			"the daemon starts anew.\n\n" + about,
		Example: "claudemesh pause\n" +
			"claudemesh pause --peer ben\n" +
			"claudemesh pause --mesh team\n" +
			"claudemesh pause --list --json",
		Args: func(cmd *cobra.Command, args []string) error {
			if list && req != (localapi.PauseRequest{}) {
				return shell.Usage(cmd, "--list goes with neither --peer nor --mesh")
			}
			return a.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list {
				return run(cmd.Context(), a, localapi.Pauses, localapi.None{}, listed)
			}
			return run(cmd.Context(), a, localapi.PauseBegin, req, begun)
		},
	}
	narrowed(a, cmd, &req)
	cmd.Flags().BoolVar(&list, "list", false, "list what is paused, and pause nothing")
	return cmd
}

// NewResume lets it go on.
func NewResume(a *shell.App) *cobra.Command {
	var req localapi.PauseRequest
	cmd := &cobra.Command{
		Use: "resume", Short: "Give sessions what a pause kept from them",
		Long: "Give sessions what a pause kept from them, in the order in which it came: of a peer, of a mesh, or, without either, everything. What is held for " +
			"another reason stays held.\n\nThis is for a human in a terminal: a host session is refused.",
		Example: "claudemesh resume\n" +
			"claudemesh resume --peer ben",
		Args: a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), a, localapi.PauseEnd, req, ended)
		},
	}
	narrowed(a, cmd, &req)
	return cmd
}

// narrowed adds the flags that say what is meant.
func narrowed(a *shell.App, cmd *cobra.Command, req *localapi.PauseRequest) {
	cmd.Flags().StringVar(&req.Peer, "peer", "", "what comes from this `peer` only: a name, a key, or the first 16 or more characters of one; a session means its member")
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "what comes in this mesh only, by its short `name`")
	shell.Offer(cmd, "peer", a.CompletePeers)
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
}

// view is the JSON of pause and resume.
type view struct {
	shell.Header
	Paused  []localapi.Pause `json:"paused"`
	Changed []localapi.Pause `json:"changed"`
}

func run[Req any](ctx context.Context, a *shell.App, c localapi.Call[Req, localapi.PausesAnswer], req Req, say func(term.Stream, localapi.PausesAnswer, time.Time)) error {
	answer, err := shell.Call(ctx, a, c, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(view{shell.NewHeader(), answer.Paused, answer.Changed}, func(s term.Stream) { say(s, answer, a.Now()) })
}

func begun(s term.Stream, answer localapi.PausesAnswer, _ time.Time) {
	for _, p := range answer.Changed {
		s.OK(what(p)+" is kept from all sessions", "")
	}
	if len(answer.Changed) == 0 {
		s.Off("that is paused already")
	}
	s.Hint("claudemesh resume gives it to them")
}

func ended(s term.Stream, answer localapi.PausesAnswer, now time.Time) {
	for _, p := range answer.Changed {
		s.OK(what(p)+" reaches sessions again", "")
	}
	if len(answer.Changed) == 0 {
		s.Empty("nothing was paused")
	}
	if len(answer.Paused) > 0 {
		listed(s, answer, now)
	}
}

func listed(s term.Stream, answer localapi.PausesAnswer, now time.Time) {
	for _, p := range answer.Paused {
		s.Line("%s  %s", s.Paint(term.Yellow, "paused"), what(p)+"  "+s.Paint(term.Dim, shell.Facts(shell.Ago(now, p.Since), short(p))))
	}
	if len(answer.Paused) == 0 {
		s.Empty("nothing is paused")
	}
}

// what is paused, in words.
func what(p localapi.Pause) string {
	from, in := "", ""
	if p.Pubkey != "" {
		from = " from " + term.Clean(cmp.Or(p.Peer, p.Pubkey.Short()))
	}
	if p.Mesh != "" {
		in = " in " + term.Clean(p.Mesh)
	}
	if p.Group != "" {
		from += " to " + term.Clean(p.Group)
	}
	return "what comes" + from + in
}

func short(p localapi.Pause) string {
	if p.Pubkey == "" {
		return ""
	}
	return p.Pubkey.Short()
}
