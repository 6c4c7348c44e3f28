package queue

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// tell tells of a message as one of the recipient's keys.
func (p *peer) tell(id mesh.ID, as mesh.Key, state mesh.State) (protocol.TellAnswer, error) {
	return p.w.q.TellReceipt(context.Background(), p.who, protocol.TellRequest{
		MessageID: id, Recipient: as, State: state, Proof: wire.RawMessage(`{"by":"` + string(state) + `"}`),
	})
}

// mustTell wants it to be kept, or known.
func (p *peer) mustTell(id mesh.ID, as mesh.Key, state mesh.State, known bool) {
	p.w.t.Helper()
	if got, err := p.tell(id, as, state); err != nil || got.Known != known {
		p.w.t.Errorf("tell %s: got %+v, %v, want known %t", state, got, err, known)
	}
}

// since reads the receipts of a peer after one.
func (p *peer) since(seq int64, limit int) []protocol.Receipt {
	p.w.t.Helper()
	page, err := p.w.q.ReceiptsSince(context.Background(), p.who, protocol.ReceiptsRequest{Seq: seq, Limit: limit})
	if err != nil {
		p.w.t.Fatalf("receipts_since: %v", err)
	}
	return page.Receipts
}

func TestWhatReadersTellIsNumberedAmongTheReceipts(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("team", "ann", "bob")
		ann, bob := w.attach("team", "ann", ""), w.attach("team", "bob", "bob1")
		first, second := ann.send(string(key("bob1")), "first"), ann.send(string(key("bob")), "second")
		if _, err := bob.tell(first.MessageID, key("bob1"), mesh.StateSurfaced); !mesh.IsCode(err, mesh.OutOfOrder) {
			t.Errorf("got %v for a message that is on its way, want %s", err, mesh.OutOfOrder)
		}
		bob.ack(bob.pushes()...)
		bob.mustTell(first.MessageID, key("bob1"), mesh.StateSurfaced, false)
		bob.mustTell(first.MessageID, key("bob1"), mesh.StateSurfaced, true)
		bob.mustTell(second.MessageID, key("bob"), mesh.StateAcknowledged, false)
		bob.mustTell(second.MessageID, key("bob"), mesh.StateSurfaced, true) // it would go back
		bob.mustTell(first.MessageID, key("bob1"), mesh.StateAcknowledged, false)
		type line struct {
			Seq   int64
			ID    mesh.ID
			To    mesh.Key
			State mesh.State
			Proof string
		}
		lines := func(receipts []protocol.Receipt) (all []line) {
			for _, r := range receipts {
				all = append(all, line{r.Seq, r.MessageID, r.Recipient, r.State, string(r.Proof)})
			}
			return all
		}
		want := []line{
			{1, first.MessageID, key("bob1"), mesh.StateDelivered, ""},
			{2, second.MessageID, key("bob"), mesh.StateDelivered, ""},
			{3, first.MessageID, key("bob1"), mesh.StateSurfaced, `{"by":"surfaced"}`},
			{4, second.MessageID, key("bob"), mesh.StateAcknowledged, `{"by":"acknowledged"}`},
			{5, first.MessageID, key("bob1"), mesh.StateAcknowledged, `{"by":"acknowledged"}`},
		}
		if d := cmp.Diff(want, lines(ann.receipts())); d != "" {
			t.Errorf("receipts as they came (-want +got):\n%s", d)
		}
		w.restart()
		ann, bob = w.attach("team", "ann", ""), w.attach("team", "bob", "bob1")
		if d := cmp.Diff(want[1:4], lines(ann.since(1, 3))); d != "" {
			t.Errorf("a page of receipts after a restart (-want +got):\n%s", d)
		}
		ann.send(string(key("bob1")), "third")
		bob.ack(bob.pushes()...)
		if got := ann.receipts(); len(got) != 1 || got[0].Seq != 6 {
			t.Errorf("got %+v, want receipt number 6", got)
		}
	})
}

// The receipt of one reader of many has the number after those of all copies.
func TestAReaderOfAMessageToManyTells(t *testing.T) {
	set := settings()
	set.DedupeRows = 1
	inWorld(t, set, func(t *testing.T, w *world) {
		from, to := w.crowd(5)
		sent := from.send("*", "hello")
		for _, p := range to {
			p.ack(p.pushes()...)
		}
		to[3].mustTell(sent.MessageID, to[3].conn.SessionKey, mesh.StateSurfaced, false)
		got := from.receipts()
		if len(got) != 6 || got[5].Seq != 6 || got[5].Recipient != to[3].conn.SessionKey || got[5].State != mesh.StateSurfaced {
			t.Errorf("got %+v, want five delivered, then one surfaced", got)
		}
		from.send(string(key("p0z1")), "another")
		to[0].ack(to[0].pushes()...)
		w.pass(61 * time.Minute) // the first message is one too many to be remembered
		w.settle()
		if n := w.rows("told"); n != 0 {
			t.Errorf("got %d rows of what was told of forgotten messages, want none", n)
		}
		w.restart()
		from, reader := w.attach("team", "ann", "ann1"), w.attach("team", "p0z", "p0z1")
		from.send(string(key("p0z1")), "again")
		reader.ack(reader.pushes()...)
		if got := from.receipts(); len(got) != 1 || got[0].Seq != 8 {
			t.Errorf("got %+v, want number 8: no number is used twice", got)
		}
	})
}

// Nobody tells of what is not its own, and nothing else than what a reader can know.
func TestThreat40TellingOfCopiesOfOthers(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("team", "ann", "bob", "eve")
		w.mesh("other", "mal")
		ann, bob, eve := w.attach("team", "ann", ""), w.attach("team", "bob", "bob1"), w.attach("team", "eve", "eve1")
		mal := w.attach("other", "mal", "mal1")
		sent := ann.send(string(key("bob1")), "for bob")
		bob.ack(bob.pushes()...)
		ann.receipts()
		for _, c := range []struct {
			name string
			by   *peer
			id   mesh.ID
			as   mesh.Key
		}{
			{"another member as itself", eve, sent.MessageID, key("eve1")}, {"another member in the recipient's name", eve, sent.MessageID, key("bob1")},
			{"another mesh", mal, sent.MessageID, key("mal1")}, {"the sender", ann, sent.MessageID, key("ann")},
			{"another mailbox of the recipient", bob, sent.MessageID, key("bob")}, {"a message that nobody sent", bob, id("nothing"), key("bob1")},
			{"a prefix of the message", bob, sent.MessageID[:20], key("bob1")},
		} {
			if _, err := c.by.tell(c.id, c.as, mesh.StateSurfaced); !mesh.IsCode(err, mesh.NotFound) {
				t.Errorf("%s: got %v, want %s", c.name, err, mesh.NotFound)
			}
		}
		for _, state := range []mesh.State{"", mesh.StateDelivered, mesh.StateExpired, mesh.StateQueued, "nonsense"} {
			if _, err := bob.tell(sent.MessageID, key("bob1"), state); !mesh.IsCode(err, mesh.InvalidArgument) {
				t.Errorf("state %q: got %v, want %s", state, err, mesh.InvalidArgument)
			}
		}
		for _, proof := range []string{"", strings.Repeat(" ", protocol.MaxReceiptProofBytes+1)} {
			req := protocol.TellRequest{MessageID: sent.MessageID, Recipient: key("bob1"), State: mesh.StateSurfaced, Proof: wire.RawMessage(proof)}
			if _, err := w.q.TellReceipt(context.Background(), bob.who, req); !mesh.IsCode(err, mesh.InvalidArgument) {
				t.Errorf("a proof of %d bytes: got %v, want %s", len(proof), err, mesh.InvalidArgument)
			}
		}
		if got := ann.receipts(); len(got) != 0 || w.rows("told") != 0 {
			t.Errorf("got receipts %+v, want none", got)
		}
	})
}
