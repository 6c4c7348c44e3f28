package queue

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// sized is a message whose copy is charged this many bytes.
func sized(to, name string, bytes int) protocol.SendRequest {
	req := request(to, name)
	req.Ciphertext = request("", strings.Repeat("x", bytes-boxNonceBytes-rowOverhead)).Ciphertext
	return req
}

func TestThreat18QuotasRefuseAndRecover(t *testing.T) {
	for name, c := range map[string]struct {
		pairRows                    int
		pair, recipient, mesh       int64
		sameSender, otherSender, to int // how many fit: of one sender, then of another to the same, then of the first to another
	}{
		"rows of a pair":     {pairRows: 3, pair: 1 << 20, recipient: 1 << 20, mesh: 1 << 20, sameSender: 3, otherSender: 3, to: 3},
		"bytes of a pair":    {pairRows: 99, pair: 3500, recipient: 1 << 20, mesh: 1 << 20, sameSender: 3, otherSender: 3, to: 3},
		"bytes of a mailbox": {pairRows: 99, pair: 1 << 20, recipient: 3500, mesh: 1 << 20, sameSender: 3, otherSender: 0, to: 3},
		"bytes of a mesh":    {pairRows: 99, pair: 1 << 20, recipient: 1 << 20, mesh: 3500, sameSender: 3, otherSender: 0, to: 0},
	} {
		t.Run(name, func(t *testing.T) {
			set := settings()
			set.PairRows, set.PairBytes, set.RecipientBytes, set.MeshBytes = c.pairRows, c.pair, c.recipient, c.mesh
			inWorld(t, set, func(t *testing.T, w *world) {
				w.mesh("m", "ann", "bob", "cid")
				w.mesh("n", "ann", "bob")
				ann, cid := w.attach("m", "ann", "ann1"), w.attach("m", "cid", "cid1")
				fill := func(p *peer, to, what string, want int) {
					t.Helper()
					for i := range want + 1 {
						a := p.try(sized(string(key(to)), fmt.Sprint(what, i), 1000))
						if i < want && !a.Queued || i == want && (a.Code != mesh.QueueFull || givesUp.MatchString(a.Error)) {
							t.Fatalf("%s: message %d of %d: got %+v", what, i+1, want, a)
						}
					}
				}
				fill(ann, "bob", "same", c.sameSender)
				fill(cid, "bob", "other", c.otherSender)
				fill(ann, "cid", "elsewhere", c.to)
				if a := w.attach("n", "ann", "ann1").try(sized(string(key("bob")), "mesh", 1000)); !a.Queued {
					t.Errorf("another mesh: got %+v, want it accepted", a)
				}
				w.restart()
				ann = w.attach("m", "ann", "ann1")
				fill(ann, "bob", "restarted", 0)
				bob := w.attach("m", "bob", "bob1")
				bob.ack(bob.pushes()...)
				fill(ann, "bob", "emptied", c.sameSender)
			})
		})
	}
}

// One sender's fullness, or one absent member, never blocks the others (design D3).
func TestThreat18AFullMailboxDoesNotStopABroadcast(t *testing.T) {
	set := settings()
	set.PairRows = 1
	inWorld(t, set, func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "cid")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		ann.send("*", "one")
		bob.ack(bob.pushes()...)
		ann.receipts()
		a := ann.send("*", "two")
		if a.Recipients != 1 {
			t.Errorf("got %d recipients, want the one with room", a.Recipients)
		}
		bob.ack(wantTexts(t, "with room", bob, "two")...)
		var got []string
		for _, r := range ann.receipts() {
			got = append(got, fmt.Sprintf("%d %s %s %t", r.Seq, r.State, r.Reason, r.Recipient == key("cid")))
		}
		if d := cmp.Diff([]string{"2 rejected queue_full true", "3 delivered  false"}, got); d != "" {
			t.Errorf("receipts (-want +got):\n%s", d)
		}
		if again := ann.try(request("*", "two")); !again.Duplicate || again.Recipients != 1 {
			t.Errorf("got %+v, want the duplicate with one recipient", again)
		}
		bob.detach()
		ann.send(string(key("bob1")), "three")
		if a := ann.try(request("*", "four")); a.Queued {
			wantTexts(t, "bob has room as a member", w.attach("m", "bob", ""), "four")
		}
		wantTexts(t, "absent", w.attach("m", "cid", "cid1"), "one")
	})
}

func TestThreat17RateIsPerMember(t *testing.T) {
	set := settings()
	set.SendBurst, set.SendPerSecond = 3, 2
	inWorld(t, set, func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		a1, a2, bob := w.attach("m", "ann", "ann1"), w.attach("m", "ann", "ann2"), w.attach("m", "bob", "bob1")
		a1.send(string(key("bob")), "1")
		a2.send(string(key("bob")), "2")
		a1.send(string(key("bob")), "3")
		for _, p := range []*peer{a1, a2} {
			if a := p.try(request(string(key("bob")), "4")); a.Code != mesh.RateLimited || a.RetryMs != 500 {
				t.Errorf("got %+v, want rate_limit for 500 ms", a)
			}
		}
		bob.send(string(key("ann")), "1")
		w.pass(1100 * time.Millisecond)
		a1.send(string(key("bob")), "4")
		a2.send(string(key("bob")), "5")
		if a := a1.try(request(string(key("bob")), "6")); a.Code != mesh.RateLimited {
			t.Errorf("got %+v, want rate_limit again", a)
		}
	})
}

func TestMessagesExpireWithAReceipt(t *testing.T) {
	set := settings()
	set.MessageTTL = time.Hour
	inWorld(t, set, func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		a := ann.send(string(key("bob")), "old")
		w.pass(50 * time.Minute)
		ann.send(string(key("bob")), "new")
		w.pass(16 * time.Minute)
		r := ann.receipts()
		if len(r) != 1 || r[0].MessageID != a.MessageID || r[0].State != mesh.StateExpired || r[0].Reason == "" || r[0].Recipient != key("bob") {
			t.Errorf("got receipts %+v, want that the old one expired", r)
		}
		bob := w.attach("m", "bob", "bob1")
		wantTexts(t, "what is left", bob, "new")
		if dup := ann.try(request(string(key("bob")), "old")); !dup.Duplicate {
			t.Errorf("got %+v, want the id still known", dup)
		}
		if st := ann.status(string(a.MessageID)); st.Recipients[0].State != mesh.StateExpired {
			t.Errorf("got status %+v, want expired", st)
		}
	})
}

// What is acknowledged after it expired has its receipt already.
func TestAnExpiredCopyIsFinal(t *testing.T) {
	set := settings()
	set.MessageTTL, set.Lease = time.Hour, 2*time.Hour
	inWorld(t, set, func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		ann.send(string(key("bob1")), "one")
		got := wantTexts(t, "live", bob, "one")
		w.pass(80 * time.Minute)
		bob.ack(got...)
		ann.send(string(key("bob1")), "two")
		bob.ack(wantTexts(t, "the next", bob, "two")...)
		var states []mesh.State
		for i, r := range ann.receipts() {
			if states = append(states, r.State); r.Seq != int64(i+1) {
				t.Errorf("got receipt number %d, want %d", r.Seq, i+1)
			}
		}
		if d := cmp.Diff([]mesh.State{mesh.StateExpired, mesh.StateDelivered}, states); d != "" {
			t.Errorf("receipts (-want +got):\n%s", d)
		}
	})
}

func (w *world) count(query string, args ...any) int {
	w.t.Helper()
	n := 0
	err := w.db.Read(context.Background(), func(tx *sqlite.Tx) error { return tx.QueryRow(query, args...).Scan(&n) })
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestBodiesAreDroppedWhenNobodyNeedsThem(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "cid")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		bodies := func(what string, want int) {
			t.Helper()
			if got := w.count(`SELECT count(*) FROM message WHERE length(ciphertext) > 0`); got != want {
				t.Errorf("%s: got %d bodies, want %d", what, got, want)
			}
		}
		ann.send("*", "both")
		ann.send(string(key("bob1")), "one")
		bob.ack(bob.pushes()...)
		w.pass(2 * bodiesEvery)
		w.settle()
		bodies("delivered to bob, not to cid", 1)
		cid := w.attach("m", "cid", "cid1")
		cid.ack(wantTexts(t, "the body that was kept", cid, "both")...)
		w.restart() // before the sweep
		w.settle()
		bodies("after a restart", 0)
	})
}

func TestLesson239OldRowsArePruned(t *testing.T) {
	set := settings()
	set.MessageTTL, set.DedupeTTL, set.SessionSeen, set.DedupeRows = time.Hour, 2*time.Hour, 48*time.Hour, 3
	set.Lease = 24 * time.Hour // few ticks in the weeks that pass
	inWorld(t, set, func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1", groups("dev"))
		for i := range 5 {
			ann.send(string(key("bob1")), fmt.Sprint("m", i))
		}
		bob.ack(bob.pushes()...)
		bob.send(string(key("ann1")), "m0")
		ann.pushes()
		w.pass(61 * time.Minute)
		w.settle()
		if got := w.count(`SELECT count(*) FROM message`); got != 4 {
			t.Errorf("got %d messages, want the last 3 of ann and 1 of bob", got)
		}
		if a := ann.try(request(string(key("bob1")), "m4")); !a.Duplicate {
			t.Errorf("got %+v, want the newest still known", a)
		}
		bob.detach()
		w.pass(receiptTTL + 3*time.Hour)
		w.settle()
		for table, want := range map[string]int{"message": 0, "delivery": 0, "group_seat": 0, "session": 2} {
			if got := w.count(`SELECT count(*) FROM ` + table); got != want {
				t.Errorf("got %d rows in %s, want %d", got, table, want)
			}
		}
		if a := ann.try(request(string(key("bob1")), "m4")); a.Code != mesh.TargetNotFound {
			t.Errorf("a session not seen for long: got %+v, want target_not_found", a)
		}
		ann.send(string(key("bob")), "m4")
		bob = w.attach("m", "bob", "bob2")
		bob.ack(wantTexts(t, "an id that is forgotten is new", bob, "m4")...)
		if r := ann.receipts(); len(r) == 0 || r[len(r)-1].Seq != 6 {
			t.Errorf("got receipts %+v, want numbers that go on at 6", r)
		}
		w.pass(receiptTTL + 51*time.Hour)
		w.settle()
		if got := w.count(`SELECT count(*) FROM session WHERE pubkey = $1`, string(key("bob1"))); got != 0 {
			t.Errorf("got the session that was last seen a month ago")
		}
		w.restart()
		ann, bob = w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob2")
		ann.send(string(key("bob2")), "m9")
		bob.ack(bob.pushes()...)
		if r := ann.receipts(); len(r) != 1 || r[0].Seq != 7 {
			t.Errorf("got receipts %+v, want number 7 after a restart without any row", r)
		}
	})
}

func TestMessageStatusIsForSenderAndRecipients(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "cid", "eve")
		w.mesh("n", "ann")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		a := ann.send(string(key("bob1")), "one")
		ann.send(string(key("cid")), "two")
		ask := func(p *peer, id string) (protocol.StatusAnswer, mesh.Code) {
			st, err := p.w.q.MessageStatus(context.Background(), p.who, protocol.StatusRequest{MessageID: id})
			return st, mesh.CodeOf(err)
		}
		st, _ := ask(ann, string(a.MessageID))
		want := protocol.StatusAnswer{
			MessageID: string(a.MessageID), TargetSpec: string(key("bob1")),
			Recipients: []protocol.RecipientStatus{{Name: "bob", Pubkey: key("bob1"), Status: "held", State: mesh.StateAccepted}},
		}
		if d := cmp.Diff(want, st); d != "" {
			t.Errorf("before (-want +got):\n%s", d)
		}
		pushes, when := bob.pushes(), mesh.FormatTime(time.Now())
		bob.ack(pushes...)
		bob.detach()
		want.Delivered, want.DeliveredAt = true, &when
		want.Recipients[0].Status, want.Recipients[0].State, want.Recipients[0].At = "delivered", mesh.StateDelivered, when
		bob = w.attach("m", "bob", "bob1")
		for name, p := range map[string]*peer{"sender": ann, "recipient": bob} {
			st, _ := ask(p, string(a.MessageID))
			if d := cmp.Diff(want, st); d != "" {
				t.Errorf("%s, delivered (-want +got):\n%s", name, d)
			}
		}
		for name, c := range map[string]struct {
			p    *peer
			id   string
			want mesh.Code
		}{
			"stranger":           {w.attach("m", "eve", "eve1"), string(a.MessageID), mesh.NotFound},
			"another mesh":       {w.attach("n", "ann", "ann1"), string(a.MessageID), mesh.NotFound},
			"no such message":    {ann, "zzzzzzzz", mesh.NotFound},
			"too short":          {ann, string(a.MessageID[:7]), mesh.InvalidArgument},
			"too long":           {ann, string(a.MessageID) + "0", mesh.InvalidArgument},
			"not an id":          {ann, "%%%%%%%%", mesh.InvalidArgument},
			"prefix of a moment": {ann, string(a.MessageID[:12]), ""},
		} {
			if _, got := ask(c.p, c.id); got != c.want {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
		}
		if _, got := ask(ann, string(a.MessageID[:8])); got != mesh.AmbiguousPrefix {
			t.Errorf("prefix of two messages: got %q, want ambiguous_target", got)
		}
		if _, got := ask(bob, string(a.MessageID[:8])); got != "" {
			t.Errorf("the same prefix for who has one of them: got %q, want no error", got)
		}
		all := ann.send("*", "all")
		st, _ = ask(bob, string(all.MessageID))
		if len(st.Recipients) != 1 || st.Recipients[0].Pubkey != key("bob1") || st.TargetSpec != "*" {
			t.Errorf("a recipient of many: got %+v, want only itself", st)
		}
	})
}

func TestReceiptsSincePages(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		other := w.attach("m", "ann", "ann2", plain)
		for i := range 7 {
			ann.send(string(key("bob1")), fmt.Sprint("m", i))
		}
		ann.detach()
		bob.ack(bob.pushes()...)
		ask := func(p *peer, seq int64, limit int) (protocol.ReceiptsAnswer, mesh.Code) {
			got, err := w.q.ReceiptsSince(context.Background(), p.who, protocol.ReceiptsRequest{Seq: seq, Limit: limit})
			return got, mesh.CodeOf(err)
		}
		var ids []mesh.ClientID
		for seq, more := int64(0), true; more; {
			page, code := ask(ann, seq, 3)
			if code != "" || len(page.Receipts) == 0 {
				t.Fatalf("after %d: got %+v, %q", seq, page, code)
			}
			for _, r := range page.Receipts {
				if seq++; r.Seq != seq || r.State != mesh.StateDelivered {
					t.Errorf("got receipt %+v, want number %d", r, seq)
				}
				ids = append(ids, r.ClientMessageID)
			}
			more = page.More
		}
		if d := cmp.Diff([]mesh.ClientID{"m0", "m1", "m2", "m3", "m4", "m5", "m6"}, ids); d != "" {
			t.Errorf("receipts (-want +got):\n%s", d)
		}
		if page, _ := ask(ann, 7, 0); len(page.Receipts) != 0 || page.More {
			t.Errorf("after the last: got %+v, want nothing", page)
		}
		if page, _ := ask(bob, 0, 0); len(page.Receipts) != 0 {
			t.Errorf("the recipient: got %+v, want nothing", page)
		}
		for _, limit := range []int{-1, 1001} {
			if _, code := ask(ann, 0, limit); code != mesh.BadRequest {
				t.Errorf("limit %d: got %q, want bad_request", limit, code)
			}
		}
		if got := other.receipts(); len(got) != 0 {
			t.Errorf("got %d receipts on a connection that did not announce them", len(got))
		}
	})
}

func TestABurstOfReceiptsDoesNotOverrunItsReader(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		ann.mu.Lock()
		ann.stuck = true
		ann.mu.Unlock()
		const n = 3 * receiptCredit
		for i := range n {
			ann.start(request(string(key("bob1")), fmt.Sprint("m", i)))
		}
		for got := bob.pushes(); len(got) > 0; got = bob.pushes() {
			bob.ack(got...)
		}
		if got := len(ann.receipts()); got != receiptCredit {
			t.Errorf("got %d receipts in the buffer of who does not read, want %d", got, receiptCredit)
		}
		ann.unstick()
		got := ann.receipts()
		for i, r := range got {
			if r.Seq != int64(receiptCredit+i+1) {
				t.Fatalf("got receipt %d, want %d", r.Seq, receiptCredit+i+1)
			}
		}
		if len(got) != n-receiptCredit {
			t.Errorf("got %d receipts after reading on, want the other %d", len(got), n-receiptCredit)
		}
	})
}

func TestCrowdedMembersKeepWhatWaits(t *testing.T) {
	set := settings()
	set.DedupeRows = 2
	inWorld(t, set, func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		for i := range 5 {
			ann.send(string(key("bob")), fmt.Sprint("m", i))
		}
		w.pass(2 * time.Hour)
		wantTexts(t, "all that was accepted", w.attach("m", "bob", "bob1"), "m0", "m1", "m2", "m3", "m4")
	})
}

func TestUnusedBucketsAreDropped(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	b := newBuckets(1, 2)
	for i := range int64(maxBuckets) {
		b.take(i, now)
	}
	b.take(7, now)
	b.take(maxBuckets, now.Add(time.Second)) // the bound: those that are full again go
	if got := len(b.of); got != 2 {
		t.Errorf("got %d buckets, want that of 7, which is not full, and the new one", got)
	}
	if ok, wait := b.take(7, now.Add(-time.Hour)); !ok || wait != 0 {
		t.Errorf("a clock that went back: got %v, %v, want the token that is left", ok, wait)
	}
	if ok, wait := b.take(7, now.Add(-time.Hour)); ok || wait != time.Second {
		t.Errorf("got %v, %v, want to wait for a second", ok, wait)
	}
}
