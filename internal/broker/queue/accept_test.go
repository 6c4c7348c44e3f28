package queue

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

func TestDirectMessageIsAckedPushedAndReceipted(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		a := ann.send(string(key("bob1")), "hello")
		if len(a.MessageID) != 32 || a.Recipients != 1 || a.Duplicate {
			t.Errorf("got ack %+v, want an id of 32 characters and one recipient", a)
		}
		got := bob.pushes()
		want := protocol.PushedMessage{
			MessageID: a.MessageID, MeshID: id("m"), SenderPubkey: key("ann1"), SenderMemberPubkey: key("ann"), SenderMemberID: id("mxann"),
			SenderName: "ann", TargetSpec: string(key("bob1")), TargetKind: protocol.KindSession, Priority: mesh.Next,
			ClientMessageID: "hello", RequestFingerprint: strings.Repeat("ab", 32), Nonce: request("", "").Nonce, Ciphertext: request("", "hello").Ciphertext,
			CreatedAt: "2000-01-01T00:00:00.000Z",
		}
		if d := cmp.Diff([]protocol.PushedMessage{want}, got); d != "" {
			t.Fatalf("push (-want +got):\n%s", d)
		}
		if r := ann.receipts(); len(r) != 0 {
			t.Errorf("got receipts %+v before the recipient acknowledged", r)
		}
		bob.ack(got...)
		r := ann.receipts()
		wantReceipt := protocol.Receipt{Seq: 1, MessageID: a.MessageID, ClientMessageID: "hello", Recipient: key("bob1"), State: mesh.StateDelivered, At: "2000-01-01T00:00:00.000Z"}
		if d := cmp.Diff([]protocol.Receipt{wantReceipt}, r); d != "" {
			t.Errorf("receipts (-want +got):\n%s", d)
		}
	})
}
