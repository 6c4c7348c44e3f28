package cli

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func newMessage(a *app) *cobra.Command {
	return noun("message", "Send, read and follow messages",
		copyOf("send", newSend(a)), copyOf("inbox", newInbox(a)), newMessageStatus(a))
}

func newMsgStatus(a *app) *cobra.Command {
	cmd := copyOf("message status", newMessageStatus(a))
	cmd.Use, cmd.Hidden = "msg-status <id>", true
	return cmd
}

func newMessageStatus(a *app) *cobra.Command {
	var req localapi.StatusRequest
	cmd := &cobra.Command{
		Use:   "status <id>",
		Short: "Show how far a sent message has come",
		Long: "Show how far a sent message has come, per recipient. <id> is what send printed: the broker's id, the client message " +
			"id, or the first 8 or more characters of either.",
		Example:     "claudemesh message status 0192f0c1-8a3b-7c40-9d2e-5b1f6a7c8d90",
		Annotations: map[string]string{alsoKey: "msg-status"},
		Args:        exactly("the message id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.ID = args[0]
			return runMessageStatus(cmd.Context(), a, req)
		},
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "look in this mesh only, by its short `name`")
	offer(cmd, "mesh", completeMeshes(a))
	return cmd
}

// statusView is the JSON of message status.
type statusView struct {
	header
	localapi.StatusAnswer
}

func runMessageStatus(ctx context.Context, a *app, req localapi.StatusRequest) error {
	answer, err := call(ctx, a, localapi.MessageStatus, callTime, req)
	if err != nil {
		return err
	}
	return a.print(statusView{newHeader(), answer}, func(s term.Stream) { writeStatus(s, answer, a.sys.Now()) })
}

func writeStatus(s term.Stream, v localapi.StatusAnswer, now time.Time) {
	queued := ""
	if v.EnqueuedAt != "" {
		queued = ago(now, v.EnqueuedAt)
	}
	s.Pairs(
		[2]string{"state", string(v.State)},
		[2]string{"message", string(v.MessageID)},
		[2]string{"client id", string(v.ClientMessageID)},
		[2]string{"mesh", v.Mesh},
		[2]string{"target", v.TargetSpec},
		[2]string{"queued", queued},
		[2]string{"last error", v.LastError},
	)
	if len(v.Recipients) > 0 {
		s.Blank()
		writeRecipients(s, v.Recipients, now)
	}
}

// writeRecipients lists the copies of a message. A state that no recipient signed is the relay's word (design D5).
func writeRecipients(s term.Stream, recipients []localapi.Recipient, now time.Time) {
	for _, r := range recipients {
		said := ""
		if !r.Verified && (r.State.Reached(mesh.StateDelivered) || r.State.Failed()) {
			said = "relay says"
		}
		name, when := cmp.Or(r.Name, r.Pubkey.Short()), ""
		if r.At != "" {
			when = ago(now, r.At)
		}
		s.Line("%s  %s  %s", s.Paint(stateStyle(r.State), term.Pad(term.Clean(string(r.State)), stateColumn)), term.Clean(name),
			s.Paint(term.Dim, joinFacts(when, said, r.Reason)))
	}
}

// stateColumn is the width of the longest state.
const stateColumn = len(mesh.StateAcknowledged)

func stateStyle(st mesh.State) term.Style {
	switch {
	case st.Failed():
		return term.Red
	case st.Reached(mesh.StateDelivered):
		return term.Green
	}
	return term.Yellow
}
