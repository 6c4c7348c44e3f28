package message

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

func newAck(a *shell.App) *cobra.Command {
	var req localapi.AcknowledgeRequest
	cmd := &cobra.Command{
		Use:   "ack <id>",
		Short: "Acknowledge a message to its sender",
		Long: "Acknowledge a message that arrived, with your signature, and mark it as read. <id> is one that inbox shows. Its sender is told " +
			"if that is yourself or a peer whose key you accepted (claudemesh trust accept), which the setting receipts narrows or widens. " +
			"A reply that names the message with --reply-to acknowledges it too.",
		Example: "claudemesh message ack 0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P",
		Args:    shell.Exactly("the message id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.ID = args[0]
			return runAck(cmd.Context(), a, req)
		},
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "look in this mesh only, by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// ackView is the JSON of message ack.
type ackView struct {
	shell.Header
	OK bool `json:"ok"`
	localapi.AcknowledgeAnswer
}

func runAck(ctx context.Context, a *shell.App, req localapi.AcknowledgeRequest) error {
	answer, err := shell.Insist(ctx, a, localapi.InboxAcknowledge, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(ackView{shell.NewHeader(), true, answer}, func(s term.Stream) { writeAck(s, answer) })
}

// writeAck says what the sender hears of it, and why not.
func writeAck(s term.Stream, v localapi.AcknowledgeAnswer) {
	facts := shell.Facts(v.Mesh, string(v.ClientMessageID))
	switch v.Told {
	case "due", "told":
		s.OK("acknowledged to "+v.SenderName, facts)
	case "withheld":
		s.OK("acknowledged here; "+v.SenderName+" is not told", facts)
		s.Hint("receipts go to peers whose key you accepted: claudemesh trust accept " + v.SenderName + ", or the setting receipts")
	case "refused":
		s.OK("acknowledged here; the broker does not know the message any more", facts)
	default:
		s.OK("acknowledged here; "+v.SenderName+" cannot be told", facts)
		s.Hint("its client takes no signed receipts, or it did not prove that it wrote the message; a reply reaches it")
	}
}
