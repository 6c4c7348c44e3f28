package pause

import (
	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// NewMute keeps what a peer writes, or what comes to a group, from coming by itself.
func NewMute(a *shell.App) *cobra.Command {
	req := localapi.PauseRequest{Mute: true}
	var list bool
	cmd := &cobra.Command{
		Use: "mute <peer|@group>", Short: "Let a peer or a group wake no session",
		Long: "Let what a peer writes, or what comes to a group, wait in the inbox until a session or you ask for it: it is shown to no session by itself, wakes none, " +
			"and none is told of it, however urgent it is. It is unread, counted, and marked as muted; its senders see it delivered, and not surfaced. This holds for " +
			"all sessions of this machine until `claudemesh unmute`, also when the daemon starts anew.\n\n" +
			"A peer is a name, a key, or the first 16 or more characters of one; a session means its member. A group means what is sent to it by this very name; @all is " +
			"what is sent to everyone.",
		Example: "claudemesh mute ben\n" +
			"claudemesh mute @ops --mesh team\n" +
			"claudemesh mute --list --json",
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case list && req.Mesh != "":
				return shell.Usage(cmd, "--list does not go with --mesh")
			case list:
				return a.NoArgs(cmd, args)
			}
			return shell.Exactly("a peer or a @group")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return runMute(cmd, a, localapi.Pauses, localapi.None{})
			}
			req.Peer = args[0]
			return runMute(cmd, a, localapi.PauseBegin, req)
		},
		ValidArgsFunction: a.CompleteTargets,
	}
	inMesh(a, cmd, &req)
	cmd.Flags().BoolVar(&list, "list", false, "list what is muted, and mute nothing")
	return cmd
}

// NewUnmute lets it come again.
func NewUnmute(a *shell.App) *cobra.Command {
	req := localapi.PauseRequest{Mute: true}
	cmd := &cobra.Command{
		Use: "unmute <peer|@group>", Short: "Let a muted peer or group reach sessions again",
		Long: "Let what a muted peer writes, or what comes to a muted group, reach sessions by itself again. What waits unread is given to them first, in the order in " +
			"which it came.\n\nThis is for a human in a terminal: a host session is refused.",
		Example: "claudemesh unmute ben\n" +
			"claudemesh unmute @ops",
		Args: shell.Exactly("a peer or a @group"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Peer = args[0]
			return runMute(cmd, a, localapi.PauseEnd, req)
		},
		ValidArgsFunction: a.CompleteTargets,
	}
	inMesh(a, cmd, &req)
	return cmd
}

func inMesh(a *shell.App, cmd *cobra.Command, req *localapi.PauseRequest) {
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "in this mesh only, by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
}

// muteView is the JSON of mute and unmute.
type muteView struct {
	shell.Header
	Muted   []localapi.Pause `json:"muted"`
	Changed []localapi.Pause `json:"changed"`
}

func runMute[Req any](cmd *cobra.Command, a *shell.App, c localapi.Call[Req, localapi.PausesAnswer], req Req) error {
	answer, err := shell.Call(cmd.Context(), a, c, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(muteView{shell.NewHeader(), answer.Muted, answer.Changed}, func(s term.Stream) {
		switch c.Route {
		case localapi.PauseBegin.Route:
			muteBegun(s, answer)
		case localapi.PauseEnd.Route:
			for _, p := range answer.Changed {
				s.OK(what(p)+" reaches sessions by itself again", "")
			}
		default:
			muteListed(s, answer, a)
		}
	})
}

func muteBegun(s term.Stream, answer localapi.PausesAnswer) {
	for _, p := range answer.Changed {
		s.OK(what(p)+" waits in the inbox until it is asked for", "")
	}
	if len(answer.Changed) == 0 {
		s.Off("that is muted already")
	}
	s.Hint("claudemesh unmute ends it")
}

func muteListed(s term.Stream, answer localapi.PausesAnswer, a *shell.App) {
	for _, p := range answer.Muted {
		s.Line("%s  %s", s.Paint(term.Yellow, "muted"), what(p)+"  "+s.Paint(term.Dim, shell.Facts(shell.Ago(a.Now(), p.Since), short(p))))
	}
	if len(answer.Muted) == 0 {
		s.Empty("nothing is muted")
	}
}
