package queue

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

func wantTexts(t *testing.T, what string, p *peer, want ...string) []protocol.PushedMessage {
	t.Helper()
	got := p.pushes()
	if d := cmp.Diff(append([]string{}, want...), texts(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
	return got
}

// A message to an absent peer was refused by the reference, or acked and never seen (lessons 1.3, 2.1.3).
func TestOfflineRecipientGetsItsMailInOrder(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		w.attach("m", "bob", "bob1").detach()
		ann := w.attach("m", "ann", "ann1")
		var want []string
		for i := range 600 { // more than two windows
			text := fmt.Sprintf("message %03d", i)
			want = append(want, text)
			ann.send(string(key("bob1")), text)
		}
		bob := w.attach("m", "bob", "bob1")
		var first map[string]any
		frames := bob.read()
		if err := json.Unmarshal(frames[0], &first); err != nil || first["type"] != "hello_ack" {
			t.Errorf("got first frame %s, want hello_ack", frames[0])
		}
		bob.frames = frames
		var got []string
		for len(got) < len(want) {
			page := bob.pushes()
			if len(page) == 0 || len(page) > windowRows {
				t.Fatalf("got %d pushes without an acknowledgement, want 1 to %d", len(page), windowRows)
			}
			got = append(got, texts(page)...)
			bob.ack(page...)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("order (-want +got):\n%s", d)
		}
		if r := ann.receipts(); len(r) != len(want) || r[len(r)-1].Seq != int64(len(want)) {
			t.Errorf("got %d receipts, want %d", len(r), len(want))
		}
	})
}

// A claim that nobody acknowledged was cleared by the reference and never pushed again (lessons 1.4, 2.1.4).
func TestLesson14UnacknowledgedPushComesAgainAfterItsLease(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		ann.send(string(key("bob1")), "one")
		ann.send(string(key("bob1")), "two")
		first := wantTexts(t, "live", bob, "one", "two")
		bob.ack(first[1])
		w.pass(29 * time.Second)
		wantTexts(t, "before the lease is over", bob)
		w.pass(3 * time.Second) // it is looked for sixteen times a lease
		again := wantTexts(t, "after the lease", bob, "one")
		if len(again) == 1 && again[0].MessageID != first[0].MessageID {
			t.Errorf("got message id %s, want %s again", again[0].MessageID, first[0].MessageID)
		}
		bob.ack(again...)
		w.pass(time.Minute)
		wantTexts(t, "after the acknowledgement", bob)
		if got := ann.receipts(); len(got) != 2 {
			t.Errorf("got %d receipts, want 2", len(got))
		}
	})
}

// Any member could acknowledge the rows of others at the reference (wire 3.4).
func TestOnlyTheLeaseholderAcknowledges(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "eve")
		ann, bob, eve := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1"), w.attach("m", "eve", "eve1")
		twin := w.attach("m", "bob", "bob2")
		ann.send(string(key("bob1")), "one")
		got := wantTexts(t, "live", bob, "one")
		eve.ack(got...)
		twin.ack(got...)
		ann.ack(got...)
		if r := ann.receipts(); len(r) != 0 {
			t.Errorf("got receipts %+v for acknowledgements of others", r)
		}
		bob.detach()
		bob = w.attach("m", "bob", "bob1")
		wantTexts(t, "after a reconnect", bob, "one")
		// Two senders with the same client id: the broker's id decides, and is not overruled by the other.
		eve.send(string(key("bob1")), "one")
		both := bob.pushes()
		bob.ackIDs(both[0].MessageID, got[0].ClientMessageID)
		if r := eve.receipts(); len(r) != 1 || r[0].MessageID != both[0].MessageID {
			t.Errorf("got receipts %+v, want that of eve's message", r)
		}
	})
}

// An acknowledgement that could not be stored is none: the message comes again, and is final once.
func TestALostAcknowledgementBringsTheMessageAgain(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		ann.send(string(key("bob1")), "one")
		got := wantTexts(t, "live", bob, "one")
		w.pages(1)
		release := w.hold()
		bob.ackIDs(got[0].MessageID, "")
		synctest.Wait()
		big := request(string(key("ann")), "big")
		big.Ciphertext = request("", strings.Repeat("x", 9000)).Ciphertext
		refused := ann.start(big)
		release()
		if a := <-refused; a.Code != mesh.StorageFull {
			t.Fatalf("got %+v, want the group refused", a)
		}
		w.pages(1_000_000)
		w.pass(3 * time.Second)
		bob.ack(wantTexts(t, "again", bob, "one")...)
		if r := ann.receipts(); len(r) != 1 || r[0].Seq != 1 {
			t.Errorf("got receipts %+v, want one", r)
		}
	})
}

// A session that announces a member's key as its own must not get that member's mail.
func TestAMemberKeyIsTheMembers(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "eve")
		ann := w.attach("m", "ann", "ann1")
		w.claim(hub.Conn{Mesh: id("m"), MemberKey: key("eve"), SessionKey: key("bob")})
		ann.send(string(key("bob")), "one")
		wantTexts(t, "bob", w.attach("m", "bob", "bob1"), "one")
	})
}

func TestLesson216MemberMailboxGoesToOneConnection(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		bridge := w.attach("m", "bob", "", service)
		ann.send(string(key("bob")), "1")
		bridge.ack(wantTexts(t, "only a bridge", bridge, "1")...) // what is on its way to one is not overtaken by another
		older, newer := w.attach("m", "bob", "bob1"), w.attach("m", "bob", "bob2")
		ann.send(string(key("bob")), "2")
		newer.ack(wantTexts(t, "newest session", newer, "2")...)
		ts := w.attach("m", "bob", "", daemon, func(c *hub.Conn) { c.Go = false })
		ann.send(string(key("bob")), "3")
		newer.ack(wantTexts(t, "newest session beside a daemon that is not ours", newer, "3")...)
		ours := w.attach("m", "bob", "", daemon)
		ann.send(string(key("bob")), "4")
		got := wantTexts(t, "our daemon", ours, "4")
		if len(got) == 1 && got[0].TargetKind != protocol.KindMember {
			t.Errorf("got target kind %q, want member", got[0].TargetKind)
		}
		ours.detach()
		wantTexts(t, "newest session takes over what was not acknowledged", newer, "4")
		for name, p := range map[string]*peer{"bridge": bridge, "older session": older, "other daemon": ts, "sender": ann} {
			wantTexts(t, name, p)
		}
	})
}

func TestRestartPushesAgainWhatIsNotFinal(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		for i := range 4 {
			ann.send(string(key("bob1")), fmt.Sprint(i))
			w.pass(time.Millisecond)
		}
		ann.send(string(key("bob")), "member")
		got := bob.pushes()
		bob.ack(got[1], got[3])
		w.restart()
		bob = w.attach("m", "bob", "bob1")
		again := bob.pushes()
		sort.Slice(again, func(i, j int) bool { return again[i].MessageID < again[j].MessageID }) // two mailboxes: each has its order
		if d := cmp.Diff([]string{"0", "2", "member"}, texts(again)); d != "" {
			t.Errorf("after the restart (-want +got):\n%s", d)
		}
		bob.ack(again...)
		ann = w.attach("m", "ann", "ann1")
		ann.send(string(key("bob1")), "5")
		bob.ack(wantTexts(t, "new", bob, "5")...)
		var seqs []int64
		for _, r := range ann.receipts() {
			seqs = append(seqs, r.Seq)
		}
		if d := cmp.Diff([]int64{6}, seqs); d != "" {
			t.Errorf("receipt numbers after the restart (-want +got):\n%s", d)
		}
		w.restart()
		wantTexts(t, "after another restart", w.attach("m", "bob", "bob1"))
	})
}

// Clients that never acknowledge got everything again for days (lesson 2.1.5, wire TRAP K).
func TestLesson215AckedOnWriteIsNeverReportedAsDelivered(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1", plain)
		a := ann.send(string(key("bob1")), "one")
		wantTexts(t, "live", bob, "one")
		w.pass(2 * time.Minute)
		bob.detach()
		bob = w.attach("m", "bob", "bob1", plain)
		wantTexts(t, "after it was written", bob)
		if r := ann.receipts(); len(r) != 0 {
			t.Errorf("got receipts %+v without a proof of delivery", r)
		}
		st := ann.status(string(a.MessageID))
		if st.Delivered || st.Recipients[0].State != mesh.StateAccepted || st.Recipients[0].Status != "held" {
			t.Errorf("got status %+v, want accepted and held", st)
		}
		bob.stuck = true
		ann.send(string(key("bob1")), "two")
		wantTexts(t, "in the buffer", bob, "two")
		bob.detach()
		bob = w.attach("m", "bob", "bob1", plain)
		wantTexts(t, "what was never written", bob, "two")
	})
}

// Held messages waited for an unrelated trigger (lesson 2.1.4).
func TestLesson214StatusHoldsAndReleases(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "cara")
		older := func(c *hub.Conn) { c.Go = false }
		ann, bob, cara := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1", older), w.attach("m", "cara", "cara1")
		say := func(to *peer, texts ...string) {
			for _, text := range texts {
				req := request(string(to.conn.SessionKey), text)
				req.Priority = mesh.Priority(text[:len(text)-2])
				ann.try(req)
			}
		}
		w.q.SetStatus(bob.conn.ID, mesh.Working)
		w.q.SetStatus(cara.conn.ID, mesh.Working)
		w.settle()
		say(bob, "next 1", "now 1", "low 1", "now 2")
		wantTexts(t, "working", bob, "now 1", "now 2")
		w.q.SetStatus(bob.conn.ID, mesh.DND)
		wantTexts(t, "do not disturb", bob)
		w.q.SetStatus(bob.conn.ID, mesh.Idle)
		wantTexts(t, "idle", bob, "next 1", "low 1")

		say(cara, "next 3", "now 3")
		wantTexts(t, "working, with an inbox of its own", cara, "next 3", "now 3")
		w.q.SetStatus(cara.conn.ID, mesh.DND)
		w.settle()
		say(cara, "next 4", "now 4")
		wantTexts(t, "do not disturb, with an inbox of its own", cara, "now 4")
	})
}

func TestSlowConsumerIsCutAndKeepsItsQueue(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		bob.mu.Lock()
		bob.full = true
		bob.mu.Unlock()
		ann.send(string(key("bob1")), "one")
		ann.send(string(key("bob1")), "two")
		w.settle()
		if got := bob.closing(); got != "4100 slow_consumer" {
			t.Errorf("got close %q, want 4100 slow_consumer", got)
		}
		wantTexts(t, "the next connection", w.attach("m", "bob", "bob1"), "one", "two")
	})
}

// Two connections of one session key fought, or a ghost stole the mail (lessons 1.14, 2.3.6).
func TestNewConnectionOfASessionReplacesTheOlder(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		ann.send(string(key("bob1")), "one")
		got := wantTexts(t, "older", bob, "one")
		for i := range 100 {
			next := w.attach("m", "bob", "bob1")
			if bob.closing() != "1000 session_replaced" {
				t.Fatalf("connection %d: got close %q, want 1000 session_replaced", i, bob.closing())
			}
			bob.ack(got...)
			bob.detach()
			got = wantTexts(t, "newer", next, "one")
			bob = next
		}
		if conns := w.conns("m"); len(conns) != 2 {
			t.Errorf("got %d connections after 100 replacements, want 2", len(conns))
		}
	})
}

func TestMeshesNeverMix(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob") // the same people in both: keys are equal, mailboxes are not
		w.mesh("n", "ann", "bob")
		annM, bobM := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		annN, bobN := w.attach("n", "ann", "ann1"), w.attach("n", "bob", "bob1")
		for _, to := range []string{string(key("bob1")), string(key("bob")), "*", "@all"} {
			annM.send(to, "m to "+to)
		}
		annN.send(string(key("bob1")), "n")
		if got := bobM.pushes(); len(got) != 4 {
			t.Errorf("got %d messages in the mesh of the sender, want 4", len(got))
		} else if bobN.ack(got...); len(annM.receipts()) != 0 {
			t.Errorf("got receipts for acknowledgements from another mesh")
		}
		wantTexts(t, "the other mesh", bobN, "n")
		if a := annN.try(request(string(key("bob1")), "m to *")); a.Duplicate {
			t.Errorf("got %+v: the id was used in the other mesh only", a)
		}
		w.mesh("o", "cid")
		if a := w.attach("o", "cid", "cid1").try(request(string(key("bob1")), "x")); a.Code != mesh.TargetNotFound {
			t.Errorf("a key of another mesh: got %+v, want target_not_found", a)
		}
	})
}

// Broadcasts never reached absent members, and one claim satisfied them all (lessons 2.1.2, data model 5).
func TestFanOutHasARowForEachRecipient(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "cid", "dan")
		w.attach("m", "dan", "dan1", groups("dev/ui")).detach()
		ann1, ann2 := w.attach("m", "ann", "ann1", groups("dev")), w.attach("m", "ann", "ann2", groups("dev"))
		bob1, bob2 := w.attach("m", "bob", "bob1", groups("dev")), w.attach("m", "bob", "bob2")
		bobd := w.attach("m", "bob", "", daemon)
		if a := ann1.send("*", "everyone"); a.Recipients != 5 {
			t.Errorf("got %d recipients of *, want ann2, bob1, bob2, cid and dan", a.Recipients)
		}
		a := ann1.send("@dev", "group")
		if a.Recipients != 3 {
			t.Errorf("got %d recipients of @dev, want ann2, bob1 and dan", a.Recipients)
		}
		wantTexts(t, "sender", ann1)
		wantTexts(t, "sibling of the sender", ann2, "everyone", "group")
		got := wantTexts(t, "in the group", bob1, "everyone", "group")
		if got[1].TargetKind != protocol.KindGroup || got[1].TargetSpec != "@dev" || got[0].TargetKind != protocol.KindAll {
			t.Errorf("got %s %s and %s, want group @dev and everyone", got[1].TargetKind, got[1].TargetSpec, got[0].TargetKind)
		}
		wantTexts(t, "not in the group", bob2, "everyone")
		wantTexts(t, "daemon of a member with sessions", bobd)
		wantTexts(t, "absent member", w.attach("m", "cid", "cid1"), "everyone")
		wantTexts(t, "absent member of a group below", w.attach("m", "dan", "dan2"), "everyone", "group")
		bob1.ack(got...)
		if st := ann1.status(string(a.MessageID)); st.Delivered || len(st.Recipients) != 3 {
			t.Errorf("got status %+v, want three recipients, not all delivered", st)
		}
		ts := w.attach("m", "ann", "ann3", plain)
		if a := ts.send("@all", "from typescript"); a.Recipients != 4 {
			t.Errorf("got %d recipients, want bob1, bob2, cid1, dan2 and nothing for ann's others", a.Recipients)
		}
	})
}

func TestCloseMemberEndsItsConnectionsAndItsSending(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		bob.send(string(key("ann1")), "before")
		w.revoke("m", "bob")
		w.q.CloseMember(id("m"), id("mxbob"), mesh.CloseKicked, "gone")
		w.settle()
		if got := bob.closing(); got != "4001 gone" {
			t.Errorf("got close %q, want 4001 gone", got)
		}
		if a := bob.try(request(string(key("ann1")), "after")); a.Code != mesh.Revoked {
			t.Errorf("got %+v, want revoked", a)
		}
		for _, to := range []string{"bob", "bob1"} {
			if a := ann.try(request(string(key(to)), to)); a.Code != mesh.TargetNotFound {
				t.Errorf("to %s: got %+v, want target_not_found", to, a)
			}
		}
		if a := ann.send("*", "all"); a.Recipients != 0 {
			t.Errorf("got %d recipients, want none", a.Recipients)
		}
		wantTexts(t, "what was accepted before", ann, "before")
	})
}
