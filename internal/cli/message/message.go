// Package message is the verbs about messages: send them, read what arrived, and follow one on its way.
package message

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// New is the noun message.
func New(a *shell.App) *cobra.Command {
	return shell.Noun("message", "Send, read and follow messages",
		shell.CopyOf("send", NewSend(a)), shell.CopyOf("inbox", NewInbox(a)), newMessageStatus(a), newTrace(a), newAck(a), newDead(a), newRedeliver(a))
}

// NewMsgStatus is the older word for message status.
func NewMsgStatus(a *shell.App) *cobra.Command {
	cmd := shell.CopyOf("message status", newMessageStatus(a))
	cmd.Use, cmd.Hidden = "msg-status <id>", true
	return cmd
}

func newMessageStatus(a *shell.App) *cobra.Command {
	var req localapi.StatusRequest
	var watch bool
	cmd := &cobra.Command{
		Use:   "status <id>",
		Short: "Show how far a sent message has come",
		Long: "Show how far a sent message has come, per recipient. <id> is what send printed: the broker's id, the client message " +
			"id, or the first 8 or more characters of either.\n\n" +
			"queued is on this machine's disk, accepted on the broker's, delivered on the recipient's. surfaced and acknowledged are the " +
			"recipient's own word: its host program proved that it showed the message, or its reader confirmed it. What says \"relay says\" " +
			"is the broker's word alone.\n\n" +
			"--watch prints each change until nothing more can become known, or you press Ctrl-C; as JSON an object on a line of its own. It " +
			"ends with exit 4 when the message failed.",
		Example: "claudemesh message status 0192f0c1-8a3b-7c40-9d2e-5b1f6a7c8d90\n" +
			"claudemesh message status 0192f0c1 --watch",
		Annotations: map[string]string{shell.AlsoKey: "msg-status"},
		Args:        shell.Exactly("the message id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.ID = args[0]
			if watch {
				return watchMessage(cmd.Context(), a, req)
			}
			return runMessageStatus(cmd.Context(), a, req)
		},
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "look in this mesh only, by its short `name`")
	cmd.Flags().BoolVar(&watch, "watch", false, "print each change, until there can be none")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// statusView is the JSON of message status.
type statusView struct {
	shell.Header
	localapi.StatusAnswer
}

func runMessageStatus(ctx context.Context, a *shell.App, req localapi.StatusRequest) error {
	answer, err := shell.Call(ctx, a, localapi.MessageStatus, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(statusView{shell.NewHeader(), answer}, func(s term.Stream) { writeStatus(s, answer, a.Now()) })
}

func writeStatus(s term.Stream, v localapi.StatusAnswer, now time.Time) {
	queued := ""
	if v.EnqueuedAt != "" {
		queued = shell.Ago(now, v.EnqueuedAt)
	}
	s.Pairs(
		[2]string{"state", string(v.State)},
		[2]string{"message", string(v.MessageID)},
		[2]string{"client id", string(v.ClientMessageID)},
		[2]string{"mesh", v.Mesh},
		[2]string{"target", v.TargetSpec},
		[2]string{"delivered", deliveredTo(v)},
		[2]string{"encryption", encryption(v)},
		[2]string{"queued", queued},
		[2]string{reasonWord(v.State), v.LastError},
		[2]string{"waits", obstacleText(v.WaitsBehind)},
	)
	if len(v.Recipients) > 0 {
		s.Blank()
		writeRecipients(s, v.Recipients, now)
	}
}

// reasonWord names the error of a message: of one that ended it is why.
func reasonWord(st mesh.State) string {
	if st.Failed() {
		return "reason"
	}
	return "last error"
}

// obstacleText says what a message waits behind.
func obstacleText(o *localapi.Obstacle) string {
	if o == nil {
		return ""
	}
	return "behind " + string(o.ClientMessageID) + ", to the same recipient: " + o.Reason
}

// deliveredTo counts the recipients who have a message to many.
func deliveredTo(v localapi.StatusAnswer) string {
	if v.RecipientCount == 0 || v.RecipientCount == 1 && v.Encrypted {
		return "" // nobody knows, or the state says it
	}
	return fmt.Sprintf("to %d of %d", v.DeliveredTo, v.RecipientCount)
}

// notEncrypted marks what the broker can read, wherever it is shown (design C10).
const notEncrypted = "not encrypted"

func encryption(v localapi.StatusAnswer) string {
	if v.Encrypted {
		return ""
	}
	return notEncrypted + ": the broker's operator can read it"
}

// writeRecipients lists the copies of a message. A state that no recipient signed is the relay's word (design D5).
func writeRecipients(s term.Stream, recipients []localapi.Recipient, now time.Time) {
	for _, r := range recipients {
		name, when := cmp.Or(r.Name, r.Pubkey.Short()), ""
		if r.At != "" {
			when = shell.Ago(now, r.At)
		}
		s.Line("%s  %s  %s", s.Paint(stateStyle(r.State), term.Pad(term.Clean(string(r.State)), stateColumn)), term.Clean(name),
			s.Paint(term.Dim, recipientFacts(r, when)))
	}
}

// recipientFacts says when and by whom something is known of a copy, and what cannot be.
func recipientFacts(r localapi.Recipient, when string) string {
	said, mute := "", ""
	if !r.Verified && (r.State.Reached(mesh.StateDelivered) || r.State.Failed()) {
		said = "relay says"
	}
	if r.CanTell != nil && !*r.CanTell {
		mute = "this peer cannot tell whether it was shown"
	}
	return shell.Facts(when, said, r.Reason, mute)
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
