package queue

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// rows counts what is in a table.
func (w *world) rows(table string) (n int) {
	w.t.Helper()
	err := w.db.Read(context.Background(), func(tx *sqlite.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n)
	})
	if err != nil {
		w.t.Fatalf("count %s: %v", table, err)
	}
	return n
}

// crowd attaches a sender and listeners, each a member with a session.
func (w *world) crowd(listeners int) (from *peer, to []*peer) {
	w.t.Helper()
	names := []string{"ann"}
	for i := range listeners {
		names = append(names, fmt.Sprintf("p%dz", i))
	}
	w.mesh("team", names...)
	from = w.attach("team", "ann", "ann1")
	for _, n := range names[1:] {
		to = append(to, w.attach("team", n, n+"1"))
	}
	return from, to
}

func TestAMessageToManyIsOneRecordWhileItIsUnderWay(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		from, to := w.crowd(10)
		release := w.hold()
		acked := from.start(request("*", "hello"))
		w.settleHeld(release)
		if a := <-acked; a.Recipients != 10 {
			t.Fatalf("got %+v, want 10 recipients", a)
		}
		if n := w.rows("delivery"); n != 0 {
			t.Errorf("got %d rows of copies, want none", n)
		}
		if n := w.rows("spread"); n != 1 {
			t.Errorf("got %d records of the message, want 1", n)
		}
		var all []protocol.PushedMessage
		for _, p := range to {
			all = append(all, p.pushes()...)
		}
		release = w.hold()
		for i, p := range to {
			p.ackIDs(all[i].MessageID, "")
		}
		w.settleHeld(release)
		got := from.receipts()
		for i, r := range got {
			if r.Seq != int64(i+1) || r.State != mesh.StateDelivered {
				t.Errorf("got receipt %+v, want number %d", r, i+1)
			}
		}
		if spread, settled, rows := w.rows("spread"), w.rows("settled"), w.rows("delivery"); len(got) != 10 || spread+rows != 0 || settled != 1 {
			t.Errorf("got %d receipts, %d spread, %d settled, %d rows; want all settled together", len(got), spread, settled, rows)
		}
		if st := from.status(string(all[0].MessageID)); !st.Delivered || len(st.Recipients) != 10 {
			t.Errorf("got %+v, want it delivered to 10", st)
		}
	})
}

// settleHeld lets the committer go on once all that was asked for waits for it.
func (w *world) settleHeld(release func()) {
	w.pass(lazyDelay)
	release()
	w.settle()
}

// A copy that waits beside others that are final goes to the next connection, and to nobody twice.
func TestWhoComesBackGetsItsCopyOfASpreadMessage(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		from, to := w.crowd(5)
		from.send("*", "one")
		from.send("*", "two")
		late := to[0]
		for _, p := range to[1:] {
			p.ack(p.pushes()...)
		}
		late.ack(late.pushes()[1])
		late.detach()
		if n := w.rows("spread"); n != 1 {
			t.Errorf("got %d open records, want 1", n)
		}
		back := w.attach("team", late.conn.Name, string(late.conn.SessionID))
		if got := texts(back.pushes()); len(got) != 1 || got[0] != "one" {
			t.Errorf("got %q, want the message that was not acknowledged", got)
		}
		for _, p := range to[1:] {
			if got := texts(p.pushes()); len(got) != 0 {
				t.Errorf("%s got %q again", p.conn.Name, got)
			}
		}
		if n := w.rows("spread"); n != 0 {
			t.Errorf("got %d open records, want none", n)
		}
	})
}

// What nobody acknowledges expires, is withdrawn, and counts against its bounds, as every other message.
func TestASpreadMessageExpires(t *testing.T) {
	set := settings()
	set.MessageTTL = 10 * time.Minute
	inWorld(t, set, func(t *testing.T, w *world) {
		from, to := w.crowd(4)
		a := from.send("*", "old")
		to[0].ack(to[0].pushes()...)
		for _, p := range to[1:] {
			p.detach()
		}
		w.pass(11 * time.Minute)
		w.pass(5 * time.Minute)
		w.settle()
		states := map[mesh.State]int{}
		for _, r := range from.receipts() {
			states[r.State]++
		}
		if states[mesh.StateDelivered] != 1 || states[mesh.StateExpired] != 3 {
			t.Errorf("got receipts %v, want one delivered and three expired", states)
		}
		if st := from.status(string(a.MessageID)); len(st.Recipients) != 4 || st.Delivered {
			t.Errorf("got %+v, want four recipients, not all reached", st)
		}
		for _, p := range to[1:] {
			if got := w.attach("team", p.conn.Name, p.conn.SessionID).pushes(); len(got) != 0 {
				t.Errorf("%s was pushed %v after it expired", p.conn.Name, texts(got))
			}
		}
	})
}

func TestSpreadMessagesHaveABound(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		l := &ledger{set: settings(), spreads: spreads{}}
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		to := []*address{{n: store.Box{Member: 1}}, {n: store.Box{Member: 2}}, {n: store.Box{Member: 3}}}
		w.write(func(tx *sqlite.Tx) error {
			must(l.load(tx))
			for n := range int64(maxSpreads + 3) {
				sp, alone := l.spreads.add(store.Delivery{Message: n + 1, Sender: 9}, to)
				if sp == nil || len(alone) != 0 {
					t.Fatalf("got %v, %v, want a spread", sp, alone)
				}
				must(store.AddSpread(tx, &sp.Spread))
			}
			return l.settle(tx)
		})
		if open, rows := w.rows("spread"), w.rows("delivery"); open != maxSpreads || rows != 9 {
			t.Errorf("got %d open and %d rows, want the oldest three unfolded", open, rows)
		}
	})
}

// TestLessonAKillLosesNoCopy takes the files of a living broker at any moment, as a kill would leave them, and goes on with
// them in another process: each copy whose acknowledgement is not there comes again, each has one receipt, and no receipt
// that its sender saw has another meaning.
func TestLessonAKillLosesNoCopy(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, settings(), func(t *testing.T, w *world) { killed(t, w, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func killed(t *testing.T, w *world, rnd *rand.Rand) {
	const listeners = 6
	from, to := w.crowd(listeners)
	accepted := map[mesh.ID]bool{}
	for i := range 3 + rnd.IntN(6) {
		var acks []<-chan protocol.Ack
		for k := range 1 + rnd.IntN(4) {
			acks = append(acks, from.start(request("*", fmt.Sprintf("m%d-%d", i, k))))
		}
		for _, a := range acks {
			accepted[(<-a).MessageID] = true
		}
		for _, p := range to {
			if rnd.IntN(3) == 0 {
				continue
			}
			for _, m := range p.seen() {
				if rnd.IntN(4) > 0 {
					p.ackIDs(m.MessageID, "")
				}
			}
		}
		if rnd.IntN(4) == 0 {
			back := rnd.IntN(listeners)
			to[back] = w.attach("team", to[back].conn.Name, to[back].conn.SessionID)
		}
		w.pass(time.Duration(rnd.IntN(3)) * time.Millisecond)
	}
	told := from.told()
	w.kill()
	after := w.attach("team", "ann", "ann1")
	for i, p := range to {
		to[i] = w.attach("team", p.conn.Name, p.conn.SessionID)
	}
	for _, p := range to {
		p.ack(p.pushes()...)
	}
	page, err := w.q.ReceiptsSince(context.Background(), after.who, protocol.ReceiptsRequest{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, r := range page.Receipts {
		k := string(r.MessageID) + string(r.Recipient)
		if r.Seq != int64(i+1) || !accepted[r.MessageID] || seen[k] || r.State != mesh.StateDelivered {
			t.Errorf("got receipt %+v in place %d, want one for each copy, without gaps", r, i+1)
		}
		seen[k] = true
	}
	if len(seen) != listeners*len(accepted) {
		t.Errorf("got %d receipts for %d messages to %d, want one for each copy", len(seen), len(accepted), listeners)
	}
	for _, r := range told {
		if int(r.Seq) > len(page.Receipts) || !reflect.DeepEqual(page.Receipts[r.Seq-1], r) {
			t.Errorf("receipt %+v was told before the kill, and is not there after it", r)
		}
	}
	if n := w.rows("spread"); n != 0 {
		t.Errorf("got %d open records at the end, want none", n)
	}
}

// kill goes on with a copy of the files as they are at this moment.
func (w *world) kill() {
	w.t.Helper()
	copied := w.path + ".killed"
	for _, part := range []string{"", "-wal"} { // nothing is moved from the log to the file while so little is in it
		if err := copyFile(copied+part, w.path+part); err != nil {
			w.t.Fatalf("copy the files: %v", err)
		}
	}
	w.end()
	w.path = copied
	w.start()
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

// seen gives the pushes that have come until now, without waiting for more.
func (p *peer) seen() []protocol.PushedMessage {
	return decoded[protocol.PushedMessage](p, "push", p.take())
}

// told is the same for receipts.
func (p *peer) told() []protocol.Receipt { return decoded[protocol.Receipt](p, "receipt", p.take()) }
