package queue

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// sayBye ends a connection whose client does not mean to come back.
func (p *peer) sayBye() {
	p.w.q.Detach(p.conn.ID, true)
	p.w.settle()
}

// wantLedger compares what the ledger counts with what the store has.
func (w *world) wantLedger() {
	w.t.Helper()
	w.settle()
	want := map[pair]use{}
	err := w.db.Read(context.Background(), func(tx *sqlite.Tx) error {
		all, err := store.ListUsage(tx)
		for _, u := range all {
			want[pair{u.Sender, u.To}] = use{u.Rows, u.Bytes}
		}
		return err
	})
	if err != nil {
		w.t.Fatalf("usage: %v", err)
	}
	if d := cmp.Diff(want, w.q.writer.ledger.pairs, cmp.AllowUnexported(pair{}, use{})); d != "" {
		w.t.Errorf("what waits, by the store and by the ledger (-store +ledger):\n%s", d)
	}
}

// What a group or everyone was told, and a session did not take before it ended, comes to its member: nobody may ever open
// that session again. What was sealed to the session waits for it.
func TestASessionThatEndsLeavesItsMemberWhatWasMeantForMany(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, home := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "", daemon)
		bob := w.attach("m", "bob", "bob1", groups("dev"))
		ann.send("@dev", "taken")
		bob.ack(wantTexts(t, "bob", bob, "taken")...)
		ann.send("@dev", "to the group")
		ann.send(string(key("bob1")), "to the session")
		all := ann.send("*", "to all")
		wantTexts(t, "bob", bob, "to the group", "to the session", "to all")
		wantTexts(t, "the member, before", home)
		ann.receipts()
		bob.sayBye()
		home.ack(wantTexts(t, "the member", home, "to the group", "to all")...)
		w.wantLedger()
		for _, r := range ann.receipts() {
			if r.Recipient != key("bob") || r.State != mesh.StateDelivered {
				t.Errorf("got %+v, want it delivered to the member", r)
			}
		}
		if st := ann.status(string(all.MessageID)); len(st.Recipients) != 1 || !st.Delivered {
			t.Errorf("got %+v, want one recipient, who has it", st)
		}
		bob = w.attach("m", "bob", "bob1", groups("dev"))
		bob.ack(wantTexts(t, "bob again", bob, "to the session")...)
		w.wantLedger()
		if n := w.rows("delivery WHERE state = 0"); n != 0 {
			t.Errorf("%d copies wait, want none", n)
		}
	})
}

// A message whose recipients were found before one of them said goodbye, and that is stored after it, comes as well.
func TestAMessageUnderWayWhileItsRecipientEnds(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, home := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "", daemon)
		bob := w.attach("m", "bob", "bob1", groups("dev"))
		release := w.hold()
		acks := ann.start(request("@dev", "under way"))
		w.q.Detach(bob.conn.ID, true)
		release()
		if a := <-acks; a.Recipients != 1 {
			t.Errorf("got %d recipients, want bob", a.Recipients)
		}
		home.ack(wantTexts(t, "the member", home, "under way")...)
		w.wantLedger()
		w.pass(settings().Lease)
		n, err := ask(context.Background(), w.q.loop, func() int { return len(w.q.loop.parted.ended) })
		if err != nil || n != 0 {
			t.Errorf("%d sessions are remembered that ended, %v", n, err)
		}
	})
}

// Of a message to many, each copy is where it was left: with the member of the session that ended, once, also after a restart.
func TestASpreadMessageIsLeftToo(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		from, to := w.crowd(5)
		from.send("*", "hello")
		for _, p := range to[1:] {
			p.ack(wantTexts(t, p.conn.Name, p, "hello")...)
		}
		to[0].sayBye()
		w.wantLedger()
		w.restart()
		home := w.attach("team", "p0z", "", daemon)
		home.ack(wantTexts(t, "the member", home, "hello")...)
		wantTexts(t, "the session", w.attach("team", "p0z", "p0z1"))
		if n := w.rows("delivery WHERE state = 0"); n != 0 {
			t.Errorf("%d copies wait, want none", n)
		}
	})
}

// Whoever comes back is not robbed: only a goodbye leaves something.
func TestABrokenConnectionLeavesNothing(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, home := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "", daemon)
		bob := w.attach("m", "bob", "bob1", groups("dev"))
		ann.send("@dev", "stays")
		wantTexts(t, "bob", bob, "stays")
		bob.detach()
		wantTexts(t, "the member", home)
		wantTexts(t, "bob again", w.attach("m", "bob", "bob1", groups("dev")), "stays")
	})
}

// Two sessions of a member that end with the same message leave one copy; the other waits, and says so.
func TestTwoSessionsLeaveOneCopy(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, home := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "", daemon)
		one, two := w.attach("m", "bob", "bob1", groups("dev")), w.attach("m", "bob", "bob2", groups("dev"))
		sent := ann.send("@dev", "to both")
		one.sayBye()
		two.sayBye()
		home.ack(wantTexts(t, "the member", home, "to both")...)
		st := ann.status(string(sent.MessageID))
		states := map[mesh.State]int{}
		for _, r := range st.Recipients {
			states[r.State]++
		}
		if d := cmp.Diff(map[mesh.State]int{mesh.StateDelivered: 1, mesh.StateAccepted: 1}, states); d != "" {
			t.Errorf("states (-want +got):\n%s", d)
		}
		w.wantLedger()
	})
}
