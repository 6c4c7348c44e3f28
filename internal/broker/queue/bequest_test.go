package queue

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
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

// wantTaken wants one message to be pushed until it is acknowledged.
func wantTaken(t *testing.T, who string, p *peer, text string) {
	t.Helper()
	got := p.pushes()
	if d := cmp.Diff([]string{text}, slices.Compact(texts(got))); d != "" {
		t.Fatalf("%s (-want +got):\n%s", who, d)
	}
	p.ack(got[len(got)-1])
	p.w.pass(2 * settings().Lease)
	wantTexts(t, who+", afterwards", p)
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

// Two sessions of a member that end with the same message leave one copy. The other is where the member's is: it says so
// as soon as that is known.
func TestTwoSessionsLeaveOneCopy(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, home := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "", daemon)
		var bobs []*peer
		for _, name := range []string{"bob1", "bob2", "bob3"} {
			bobs = append(bobs, w.attach("m", "bob", name, groups("dev")))
		}
		sent := ann.send("@dev", "to all of dev")
		want := func(what string, delivered, accepted int) {
			t.Helper()
			states := map[mesh.State]int{}
			for _, r := range ann.status(string(sent.MessageID)).Recipients {
				states[r.State]++
			}
			if states[mesh.StateDelivered] != delivered || states[mesh.StateAccepted] != accepted {
				t.Errorf("%s: got %v, want %d delivered and %d accepted", what, states, delivered, accepted)
			}
		}
		bobs[0].sayBye()
		bobs[1].sayBye()
		want("two have ended", 0, 3)
		home.ack(wantTexts(t, "the member", home, "to all of dev")...)
		want("the member has it", 1, 2)
		bobs[2].sayBye()
		want("the third has ended", 2, 1)
		w.pass(silentFor + 2*expireEvery)
		want("after a while", 3, 0)
		if got := ann.receipts(); len(got) != 3 {
			t.Errorf("got the receipts %+v, want three", got)
		}
		wantTexts(t, "the member, at the end", home)
		w.wantLedger()
	})
}

// A session that had stored what it left, and tells of it when it is back, is believed: its member has the message.
func TestASessionTellsOfWhatItLeft(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, home := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "", daemon)
		bob := w.attach("m", "bob", "bob1", groups("dev"))
		sent := ann.send("@dev", "stored, and not acknowledged")
		bob.sayBye()
		tell := protocol.TellRequest{MessageID: sent.MessageID, Recipient: key("bob1"), State: mesh.StateAcknowledged, Proof: []byte(`{"v":1}`)}
		if _, err := w.q.TellReceipt(t.Context(), home.who, tell); !mesh.IsCode(err, mesh.OutOfOrder) {
			t.Errorf("before the member has it: got %v, want another try", err)
		}
		home.ack(wantTexts(t, "the member", home, "stored, and not acknowledged")...)
		if _, err := w.q.TellReceipt(t.Context(), home.who, tell); err != nil {
			t.Errorf("got %v, want it told", err)
		}
		got := ann.receipts()
		if len(got) != 2 || got[1].Recipient != key("bob1") || got[1].State != mesh.StateAcknowledged {
			t.Errorf("got %+v, want it delivered to the member and acknowledged by its session", got)
		}
	})
}

// What a member wrote to many comes back to none of it: the session that wrote it may be the one that would hear it.
func TestWhatASiblingWroteIsNotLeft(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "bob")
		one, home := w.attach("m", "bob", "bob1"), w.attach("m", "bob", "", daemon)
		two := w.attach("m", "bob", "bob2", groups("dev"))
		one.send("@dev", "to my other session")
		two.sayBye()
		w.pass(silentFor + 2*expireEvery)
		wantTexts(t, "the member", home)
		wantTexts(t, "the session", one)
		wantTexts(t, "the other session, back", w.attach("m", "bob", "bob2"), "to my other session")
	})
}

// A session that ended without a goodbye leaves what was meant for many when its daemon has been back for a while without
// it; who comes back with its daemon, however late, has its own.
func TestASilentSessionLeavesToItsMember(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, home := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "", daemon)
		dead, sleeps := w.attach("m", "bob", "bob1", groups("dev")), w.attach("m", "bob", "bob2", groups("ops"))
		home.detach()
		ann.send("@dev", "to the dead")
		ann.send("@ops", "to the sleeper")
		ann.send(string(key("bob1")), "to the session")
		dead.detach()
		sleeps.detach()
		w.pass(8 * time.Hour)
		w.restart()
		ann = w.attach("m", "ann", "ann1")
		w.pass(time.Hour)
		home = w.attach("m", "bob", "", daemon)
		w.pass(time.Minute)
		sleeps = w.attach("m", "bob", "bob2", groups("ops"))
		sleeps.ack(wantTexts(t, "the sleeper", sleeps, "to the sleeper")...)
		w.pass(silentFor - 2*time.Minute)
		wantTexts(t, "the member, before", home)
		w.pass(2*expireEvery + time.Minute)
		wantTaken(t, "the member", home, "to the dead")
		w.wantLedger()
		wantTexts(t, "the session, back", w.attach("m", "bob", "bob1"), "to the session")
	})
}

// A broker that could not store a goodbye makes up for it.
func TestAGoodbyeThatWasNotStored(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, home := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "", daemon)
		bob := w.attach("m", "bob", "bob1", groups("dev"))
		ann.send("@dev", "to the group")
		release := w.hold()
		w.q.Detach(bob.conn.ID, true)
		synctest.Wait() // it is in one group with what fails
		w.q.writer.add(&task{
			change: func(*sqlite.Tx, *ledger) error { return errors.New("the disk is ill") }, after: func() {}, done: make(chan error, 1),
		})
		release()
		w.settle()
		wantTexts(t, "the member, at once", home)
		w.pass(silentFor + 2*expireEvery)
		wantTaken(t, "the member", home, "to the group")
		w.wantLedger()
	})
}

// Who said goodbye is remembered while a message looks for its recipients.
func TestGoodbyesAreRememberedWhileRecipientsAreSought(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "bob")
		bob := w.attach("m", "bob", "bob1")
		w.q.loop.parted.seeking.Add(1)
		bob.sayBye()
		for _, want := range []int{1, 0} {
			w.pass(settings().Lease)
			n, err := ask(context.Background(), w.q.loop, func() int { return len(w.q.loop.parted.ended) })
			if err != nil || n != want {
				t.Errorf("%d sessions are remembered that ended, %v, want %d", n, err, want)
			}
			w.q.loop.parted.seeking.Add(-1)
		}
		w.q.loop.parted.seeking.Store(0)
	})
}
