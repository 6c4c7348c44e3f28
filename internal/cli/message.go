package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func newMessage(a *app) *cobra.Command {
	return noun("message", "Send, read and follow messages", newSend(a), newInbox(a), newMessageStatus(a, "status <id>", false))
}

func newMessageStatus(a *app, use string, hidden bool) *cobra.Command {
	return &cobra.Command{
		Use: use, Hidden: hidden,
		Short: "Show how far a sent message has come",
		Long: "Show how far a sent message has come, per recipient. <id> is what send printed: the client message id, the\n" +
			"broker's id, or the first 8 or more characters of either.",
		Args: exactly("the message id"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.messageStatus(cmd.Context(), args[0]) },
	}
}

// statusView is the JSON of message status.
type statusView struct {
	header
	localapi.StatusAnswer
}

func (a *app) messageStatus(ctx context.Context, id string) error {
	answer, err := call(ctx, a, localapi.MessageStatus, callTime, localapi.StatusRequest{ID: id, Mesh: a.global.mesh})
	if err != nil {
		return err
	}
	return a.print(statusView{newHeader(), answer}, func(s term.Stream) { writeStatus(s, answer) })
}

func writeStatus(s term.Stream, v localapi.StatusAnswer) {
	s.Pairs(
		[2]string{"state", string(v.State)},
		[2]string{"message", string(v.MessageID)},
		[2]string{"client id", string(v.ClientMessageID)},
		[2]string{"mesh", v.Mesh},
		[2]string{"target", v.TargetSpec},
		[2]string{"queued at", v.EnqueuedAt},
		[2]string{"last error", v.LastError},
	)
	for _, r := range v.Recipients {
		name := r.Name
		if name == "" {
			name = r.Pubkey.Short()
		}
		said := "relay says"
		if r.Verified || r.State == mesh.StateQueued || r.State == mesh.StateAccepted {
			said = ""
		}
		s.Line("%s %s %s", s.Paint(stateStyle(r.State), string(r.State)), term.Clean(name), s.Paint(term.Dim, joinFacts(r.At, said, r.Reason)))
	}
}

func stateStyle(st mesh.State) term.Style {
	switch {
	case st.Failed():
		return term.Red
	case st.Reached(mesh.StateDelivered):
		return term.Green
	}
	return term.Yellow
}

// joinFacts puts dots between what is not empty.
func joinFacts(facts ...string) string {
	out := ""
	for _, f := range facts {
		if f != "" && out != "" {
			out += " · "
		}
		out += f
	}
	return out
}
