package rig

import (
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// signedReceipts keeps the receipts with a proof that go down to a home, and holds them back.
func (l *liar) signedReceipts(to *Home) *[]fields {
	var kept []fields
	to.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
		if f.Type == "receipt" {
			if r := decode(l.T, f.Data); r["proof"] != nil {
				kept = append(kept, r)
				return nil
			}
		}
		return f.Pass()
	})
	return &kept
}

// sendAs sends a message under an id.
func (l *liar) sendAs(from *Home, to, id string) mesh.ClientID {
	l.T.Helper()
	_, err := localapi.Send.Do(l.T.Context(), from, localapi.SendRequest{To: to, Message: id, ClientMessageID: id})
	l.must(err)
	return mesh.ClientID(id)
}

// stays wants that frames of a lying broker change nothing of a message.
func (l *liar) stays(h *Home, id mesh.ClientID, want mesh.State, what string, frames ...[]byte) {
	l.T.Helper()
	l.say(h, frames...)
	if got := l.status(h, string(id)); got.State != want {
		l.T.Errorf("%s: got %s, want %s", what, got.State, want)
	}
}

// signReceipt makes a receipt with the proof of a key that a broker made itself.
func signReceipt(t *testing.T, w *world, ada *Home, id mesh.ClientID, as mesh.Key) []byte {
	t.Helper()
	made := seal.NewSecretKey()
	sender, err := seal.DecodePublicKey(string(ada.Mesh("team").Pubkey))
	w.must(err)
	own := seal.Receipt{
		MeshID: string(ada.Mesh("team").MeshID), ClientID: string(id), Sender: sender, Reader: made.Public(), State: "acknowledged", At: time.Now(),
	}
	sig, err := own.Sign(made)
	w.must(err)
	proof, err := wire.Encode(protocol.ReceiptProof{At: own.At.UnixMilli(), Signature: sig.String()})
	w.must(err)
	if as == "" {
		as = mesh.Key(made.Public().String())
	}
	frame, err := protocol.Receipts.Encode(protocol.Receipt{
		Seq: 90, MessageID: "m", ClientMessageID: id, Recipient: as, State: mesh.StateAcknowledged, At: mesh.FormatTime(own.At), Proof: proof,
	})
	w.must(err)
	return frame
}

// Only the reader's own signature, for this message and this sender, moves a message beyond its delivery (design D5).
func TestThreat40ForgedSignedReceipts(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.trusts(l.ben, "ada")
		l.trusts(l.carol, "ada")
		kept := l.signedReceipts(l.ada)
		one, two := l.sendAs(l.ada, "ben", "to-ben-1"), l.sendAs(l.ada, "ben", "to-ben-2")
		other, many := l.sendAs(l.ada, "carol", "to-carol"), l.sendAs(l.ada, "*", "to-everyone")
		for _, id := range []mesh.ClientID{one, two, other, many} {
			l.wantState(l.ada, id, mesh.StateDelivered)
		}
		l.ack(l.ben, string(one))
		pass(time.Second) // else carol's may have the lower number, and ada would ask for what lies before ben's
		l.ack(l.carol, string(other))
		pass(time.Second)
		if len(*kept) != 2 {
			t.Fatalf("got %d signed receipts, want two", len(*kept))
		}
		bens, carols := (*kept)[0], (*kept)[1]
		l.stays(l.ada, one, mesh.StateDelivered, "without a proof", bens.without(t, "proof"))
		l.stays(l.ada, one, mesh.StateDelivered, "as shown", bens.with(t, "state", "surfaced"))
		l.stays(l.ada, two, mesh.StateDelivered, "another message", bens.with(t, "clientMessageId", string(two), "messageId", "m2"))
		l.stays(l.ada, other, mesh.StateDelivered, "for another's message", bens.with(t, "clientMessageId", string(other), "recipient", carols["recipient"]))
		l.stays(l.ada, one, mesh.StateDelivered, "another reader's proof", carols.with(t, "clientMessageId", string(one), "recipient", bens["recipient"]))
		l.stays(l.ada, one, mesh.StateDelivered, "another reader", carols.with(t, "clientMessageId", string(one)))
		l.stays(l.ada, one, mesh.StateDelivered, "a key of the broker", signReceipt(t, l.world, l.ada, one, ""))
		l.stays(l.ada, one, mesh.StateDelivered, "a key of the broker as the reader's", signReceipt(t, l.world, l.ada, one, l.ben.Mesh("team").Pubkey))
		l.say(l.ada, signReceipt(t, l.world, l.ada, many, ""))
		for _, r := range l.status(l.ada, string(many)).Recipients {
			if r.State != mesh.StateDelivered || r.Verified {
				t.Errorf("to many, by a key that nobody knows: got %+v, want it delivered as far as the relay says", r)
			}
		}
		l.stays(l.ada, one, mesh.StateAcknowledged, "the true one", bens.with(t))
		l.stays(l.ada, one, mesh.StateAcknowledged, "the true one once more", bens.with(t, "seq", 99))
		l.stays(l.ada, one, mesh.StateAcknowledged, "the relay against the reader", bens.without(t, "proof"), decode(t, bens.without(t, "proof")).with(t, "state", "expired"))
		if r := l.status(l.ada, string(one)).Recipients[0]; !r.Verified {
			t.Errorf("got %+v, want ben's word", r)
		}
	})
}

// A receipt is for the sender that its reader meant: it is nothing to anybody else who used the same id, its reader included.
func TestThreat40ReflectedSignedReceipts(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.trusts(l.ben, "ada")
		kept := l.signedReceipts(l.ada)
		id := l.sendAs(l.ada, "ben", "same-id")
		l.sendAs(l.ben, "ada", "same-id")
		l.sendAs(l.carol, "ben", "same-id")
		for _, h := range []*Home{l.ada, l.ben, l.carol} {
			l.wantState(h, id, mesh.StateDelivered)
		}
		for _, i := range l.Inbox(l.ben) {
			if i.SenderName == "ada" {
				l.ack(l.ben, i.ID)
			}
		}
		pass(time.Second)
		if len(*kept) != 1 {
			t.Fatalf("got %d signed receipts, want one", len(*kept))
		}
		r := (*kept)[0]
		l.stays(l.ben, id, mesh.StateDelivered, "reflected", r.with(t))
		l.stays(l.ben, id, mesh.StateDelivered, "reflected as ada's", r.with(t, "recipient", string(l.ada.Mesh("team").Pubkey)))
		l.stays(l.carol, id, mesh.StateDelivered, "to another sender", r.with(t))
		l.stays(l.ada, id, mesh.StateAcknowledged, "to its own", r.with(t))
	})
}

// The reader's word counts also where the relay said first that the message was lost.
func TestReaderOutweighsTheRelay(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.trusts(l.ben, "ada")
		kept := l.signedReceipts(l.ada)
		id := l.sendAs(l.ada, "ben", "not-lost")
		l.wantState(l.ada, id, mesh.StateDelivered)
		l.ack(l.ben, string(id))
		pass(time.Second)
		r := (*kept)[0]
		l.stays(l.ada, id, mesh.StateExpired, "the relay says so", decode(t, r.without(t, "proof")).with(t, "state", "expired"))
		l.stays(l.ada, id, mesh.StateAcknowledged, "the reader says so", r.with(t))
	})
}

// A message that the broker made up, or whose proof it took away, is acknowledged to nobody: what the reader does is told
// to who proved to have written.
func TestThreat40ReceiptsForForgedMessages(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.trusts(l.ben, "ada")
		told := 0
		l.ben.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
			switch f.Type {
			case "push":
				return [][]byte{decode(t, f.Data).without(t, "auth")}
			case "receipt_tell":
				told++
			}
			return f.Pass()
		})
		id := l.sendAs(l.ada, "*", "in-clear")
		l.wantState(l.ada, id, mesh.StateDelivered)
		if got := l.ack(l.ben, string(id)); got != "unasked" {
			t.Errorf("got %q, want it unasked", got)
		}
		pass(time.Minute)
		if told != 0 {
			t.Errorf("got %d receipts, want none", told)
		}
	})
}
