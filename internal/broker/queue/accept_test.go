package queue

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

func TestDirectMessageIsAckedPushedAndReceipted(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		req := request(string(key("bob1")), "hello")
		req.ReplyToID, req.TraceID, req.BodyVersion, req.Priority = "earlier", "trace-1", 1, mesh.Now
		sentAt := mesh.FormatTime(time.Now())
		a := ann.try(req)
		if len(a.MessageID) != 32 || !a.Queued || a.Recipients != 1 || a.Duplicate || a.ID != "hello" {
			t.Errorf("got ack %+v, want an id of 32 characters and one recipient", a)
		}
		want := protocol.PushedMessage{
			MessageID: a.MessageID, MeshID: id("m"), SenderPubkey: key("ann1"), SenderMemberPubkey: key("ann"), SenderMemberID: id("mxann"),
			SenderName: "ann", TargetSpec: string(key("bob1")), TargetKind: protocol.KindSession, Priority: mesh.Now,
			ReplyToID: "earlier", TraceID: "trace-1", BodyVersion: 1,
			ClientMessageID: "hello", RequestFingerprint: strings.Repeat("ab", 32), Nonce: req.Nonce, Ciphertext: req.Ciphertext,
			CreatedAt: sentAt,
		}
		live := bob.pushes()
		if d := cmp.Diff([]protocol.PushedMessage{want}, live); d != "" {
			t.Fatalf("live push (-want +got):\n%s", d)
		}
		bob.detach()
		bob = w.attach("m", "bob", "bob1")
		if d := cmp.Diff([]protocol.PushedMessage{want}, bob.pushes()); d != "" {
			t.Fatalf("push from the store (-want +got):\n%s", d)
		}
		if r := ann.receipts(); len(r) != 0 {
			t.Errorf("got receipts %+v before the recipient acknowledged", r)
		}
		ackedAt := mesh.FormatTime(time.Now())
		bob.ack(live...)
		wantReceipt := protocol.Receipt{
			Seq: 1, MessageID: a.MessageID, ClientMessageID: "hello", Recipient: key("bob1"), State: mesh.StateDelivered, At: ackedAt,
		}
		if d := cmp.Diff([]protocol.Receipt{wantReceipt}, ann.receipts()); d != "" {
			t.Errorf("receipts (-want +got):\n%s", d)
		}
	})
}

// The broker of the reference stored a second row for a send that came again (lesson 2.1.7).
func TestThreat9SameIDAgainIsTheSameMessage(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "cid")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		first := ann.send(string(key("bob1")), "one")
		again := func(where string) {
			t.Helper()
			a := ann.try(request(string(key("bob1")), "one"))
			if a.MessageID != first.MessageID || !a.Duplicate || !a.Queued || a.Error != "" || a.Recipients != 1 {
				t.Errorf("%s: got %+v, want the first id %s as a duplicate", where, a, first.MessageID)
			}
		}
		again("recipient online")
		other := w.attach("m", "ann", "ann2")
		if a := other.try(request(string(key("bob1")), "one")); !a.Duplicate {
			t.Errorf("from another session of the member: got %+v, want a duplicate", a)
		}
		bob.ack(bob.pushes()...)
		again("delivered")
		bob.detach()
		again("recipient offline")
		req := request(string(key("bob1")), "one")
		req.RequestFingerprint = strings.Repeat("cd", 32)
		if a := ann.try(req); a.Code != mesh.Reused || a.Queued || !strings.HasSuffix(a.Error, "(invalid)") {
			t.Errorf("other fingerprint: got %+v, want idempotency_key_reused for good", a)
		}
		if a := w.attach("m", "cid", "cid1").try(request(string(key("bob1")), "one")); a.Duplicate || !a.Queued {
			t.Errorf("the same id of another member: got %+v, want it accepted", a)
		}
		ann.detach()
		w.restart()
		ann = w.attach("m", "ann", "ann1")
		again("after a restart")
		if got := texts(w.attach("m", "bob", "bob1").pushes()); len(got) != 1 {
			t.Errorf("got pushes %q, want only that of the other member", got)
		}
	})
}

// Clients of the first generation send neither id nor fingerprint, and nothing to fill a nonce for many.
func TestOldClientsSendWithoutIDs(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1", plain), w.attach("m", "bob", "bob1")
		var ids []mesh.ID
		for range 2 {
			req := request("*", "same")
			req.ID, req.ClientMessageID, req.RequestFingerprint, req.Nonce, req.Priority = "", "", "", "", ""
			a := ann.try(req)
			if !a.Queued || a.Duplicate {
				t.Fatalf("got %+v, want it accepted", a)
			}
			ids = append(ids, a.MessageID)
		}
		got := wantTexts(t, "both", bob, "same", "same")
		if ids[0] == ids[1] || got[0].MessageID != ids[0] || got[0].ClientMessageID != "" || got[0].RequestFingerprint != "" || got[0].Priority != mesh.Next {
			t.Errorf("got %+v, want two messages without the fields that were not sent", got)
		}
		bob.ack(got...)
		for range 2 { // the same id without a fingerprint is the same message
			req := request(string(key("bob1")), "id")
			req.RequestFingerprint = ""
			ann.try(req)
		}
		bob.ack(wantTexts(t, "once", bob, "id")...)
		w.restart()
		wantTexts(t, "final", w.attach("m", "bob", "bob1"))
	})
}

func TestConcurrentAcceptsOfOneIDStoreOneRow(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		bob := w.attach("m", "bob", "bob1")
		var senders []*peer
		for i := range 8 {
			senders = append(senders, w.attach("m", "ann", fmt.Sprintf("ann%d", i)))
		}
		acks := make(chan protocol.Ack, 50)
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() { acks <- senders[i%8].try(request(string(key("bob1")), "one")) })
		}
		group.Wait()
		close(acks)
		ids, fresh := map[mesh.ID]bool{}, 0
		for a := range acks {
			ids[a.MessageID] = true
			if !a.Duplicate {
				fresh++
			}
		}
		if len(ids) != 1 || fresh != 1 {
			t.Errorf("got %d message ids and %d first accepts, want one of each", len(ids), fresh)
		}
		if got := bob.pushes(); len(got) != 1 {
			t.Errorf("got %d pushes, want 1", len(got))
		}
	})
}

func TestARefusedSendConsumesNoID(t *testing.T) {
	set := settings()
	set.PairRows, set.SendBurst, set.SendPerSecond = 2, 5, 1
	inWorld(t, set, func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "cid")
		ann := w.attach("m", "ann", "ann1")
		if a := ann.try(request(string(key("nobody")), "one")); a.Code != mesh.TargetNotFound || a.Queued {
			t.Fatalf("got %+v, want target_not_found", a)
		}
		first := ann.send(string(key("bob")), "one")
		ann.send(string(key("bob")), "two")
		if a := ann.try(request(string(key("bob")), "three")); a.Code != mesh.QueueFull {
			t.Fatalf("got %+v, want queue_full", a)
		}
		if a := ann.try(request(string(key("bob")), "one")); !a.Duplicate || a.MessageID != first.MessageID {
			t.Errorf("a full mailbox: got %+v, want the duplicate of what is in it", a)
		}
		ann.send(string(key("cid")), "three")
		ann.send(string(key("cid")), "four")
		ann.try(request(string(key("nobody")), "five")) // refused: its token comes back
		if a := ann.try(request(string(key("ann")), "five")); !a.Queued {
			t.Errorf("got %+v, want it accepted", a)
		}
		a := ann.try(request(string(key("cid")), "six"))
		if a.Code != mesh.RateLimited || a.RetryMs <= 0 || a.RetryMs > 1000 {
			t.Fatalf("got %+v, want rate_limit for at most a second", a)
		}
		if a := ann.try(request(string(key("bob")), "one")); !a.Duplicate || a.MessageID != first.MessageID {
			t.Errorf("without a token: got %+v, want the duplicate", a)
		}
		w.pass(time.Duration(a.RetryMs+1) * time.Millisecond)
		if a := ann.try(request(string(key("ann")), "six")); !a.Queued {
			t.Errorf("after retryMs: got %+v, want it accepted", a)
		}
	})
}

func TestMalformedSendsAreRefusedForGood(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		for _, c := range []struct {
			name   string
			change func(*protocol.SendRequest)
			want   mesh.Code
		}{
			{"no target", func(r *protocol.SendRequest) { r.TargetSpec = "" }, mesh.TargetNotFound},
			{"a name", func(r *protocol.SendRequest) { r.TargetSpec = "bob" }, mesh.TargetNotFound},
			{"a prefix", func(r *protocol.SendRequest) { r.TargetSpec = string(key("bob"))[:16] }, mesh.TargetNotFound},
			{"upper case", func(r *protocol.SendRequest) { r.TargetSpec = strings.ToUpper(string(key("jj"))) }, mesh.TargetNotFound},
			{"a topic", func(r *protocol.SendRequest) { r.TargetSpec = "#general" }, mesh.BadRequest},
			{"a bad group", func(r *protocol.SendRequest) { r.TargetSpec = "@a b" }, mesh.BadRequest},
			{"own session", func(r *protocol.SendRequest) { r.TargetSpec = string(key("ann1")) }, mesh.SelfSend},
			{"priority", func(r *protocol.SendRequest) { r.Priority = "high" }, mesh.BadRequest},
			{"short nonce", func(r *protocol.SendRequest) { r.Nonce = "AAAA" }, mesh.BadRequest},
			{"no nonce", func(r *protocol.SendRequest) { r.Nonce = "" }, mesh.BadRequest},
			{"long nonce", func(r *protocol.SendRequest) { r.TargetSpec, r.Nonce = "*", strings.Repeat("AAAA", 30) }, mesh.BadRequest},
			{"base64 without padding", func(r *protocol.SendRequest) { r.Ciphertext = "QQ" }, mesh.BadRequest},
			{"base64 that is not canonical", func(r *protocol.SendRequest) { r.Ciphertext = "QUI=QUI=" }, mesh.BadRequest},
			{"base64 with set pad bits", func(r *protocol.SendRequest) { r.Ciphertext = "QUJ=" }, mesh.BadRequest},
			{"base64 with a line end", func(r *protocol.SendRequest) { r.Ciphertext = "QUJD\n" }, mesh.BadRequest},
			{"no body", func(r *protocol.SendRequest) { r.Ciphertext = "" }, mesh.BadRequest},
			{"client id", func(r *protocol.SendRequest) { r.ClientMessageID = "a b" }, mesh.BadRequest},
			{"fingerprint", func(r *protocol.SendRequest) { r.RequestFingerprint = "abcd" }, mesh.BadRequest},
			{"reply id", func(r *protocol.SendRequest) { r.ReplyToID = "a\nb" }, mesh.BadRequest},
			{"trace id", func(r *protocol.SendRequest) { r.TraceID = strings.Repeat("t", 201) }, mesh.BadRequest},
			{"body version", func(r *protocol.SendRequest) { r.BodyVersion = -1 }, mesh.BadRequest},
		} {
			req := request(string(key("bob")), "text")
			c.change(&req)
			a := ann.try(req)
			if a.Code != c.want || a.Queued || a.MessageID != "" || !strings.HasPrefix(a.Error, string(c.want)+": ") || !strings.HasSuffix(a.Error, "(invalid)") {
				t.Errorf("%s: got %+v, want %s for good", c.name, a, c.want)
			}
		}
	})
}

// A TypeScript daemon gives up when an ack has one of these words (wire TRAP G).
var givesUp = regexp.MustCompile(`(?i)payload_too_large|forbidden|not_found|invalid|schema|auth|signature|unknown|not_authorized`)

func TestAFullDiskRefusesAndForgetsNothing(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		first := ann.send(string(key("bob")), "one")
		w.pages(1)
		body := strings.Repeat("x", 9000)
		req := request(string(key("bob")), "two")
		req.Ciphertext = request("", body).Ciphertext
		for range 2 {
			if a := ann.try(req); a.Code != mesh.StorageFull || a.Queued || givesUp.MatchString(a.Error) {
				t.Fatalf("got %+v, want storage_full for now", a)
			}
		}
		w.pages(1_000_000)
		second := ann.try(req)
		if !second.Queued || second.Duplicate {
			t.Fatalf("with room again: got %+v, want it accepted", second)
		}
		bob := w.attach("m", "bob", "bob1")
		got := bob.pushes()
		if len(got) != 2 || got[0].MessageID != first.MessageID || got[1].MessageID != second.MessageID {
			t.Errorf("got %d pushes, want both that were accepted, in order", len(got))
		}
	})
}

// A group that is lost takes its part of the quotas with it.
func TestALostGroupIsForgotten(t *testing.T) {
	set := settings()
	set.PairRows = 4
	inWorld(t, set, func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		ann.send(string(key("bob")), "before")
		w.pages(1)
		for round := range 3 {
			release := w.hold()
			big := request(string(key("bob")), fmt.Sprint("big", round))
			big.Ciphertext = request("", strings.Repeat("x", 9000)).Ciphertext
			small := ann.start(request(string(key("bob")), fmt.Sprint("small", round)))
			large := ann.start(big)
			release()
			if a, b := <-small, <-large; a.Code != mesh.StorageFull || b.Code != mesh.StorageFull {
				t.Fatalf("got %+v and %+v, want storage_full for the group", a, b)
			}
		}
		w.pages(1_000_000)
		for i := range 3 {
			ann.send(string(key("bob")), fmt.Sprint("after", i))
		}
		wantTexts(t, "what was accepted", w.attach("m", "bob", "bob1"), "before", "after0", "after1", "after2")
	})
}

func TestAFailedStoreAcceptsNothing(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		ann.send(string(key("bob")), "one")
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if a := ann.try(request(string(key("bob")), "two")); a.Code != mesh.StoreFailed || a.Queued || givesUp.MatchString(a.Error) {
				t.Fatalf("got %+v, want store_failed for now", a)
			}
		}
	})
}

// A frame that was let in just before the end is answered, and the store is not closed under it.
func TestTheLoopWaitsForWhoHasASlot(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		if err := w.q.loop.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		stopped := make(chan struct{})
		go func() { w.stop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("the queue ended while a frame had a slot")
		default:
		}
		if err := w.q.loop.enter(t.Context()); !mesh.IsCode(err, mesh.ShuttingDown) {
			t.Errorf("the next frame: got %v, want shutting_down", err)
		}
		w.q.loop.leave()
		<-stopped
		w.stop = func() {}
	})
}

func TestAStoppingQueueAnswersWhatItAccepted(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		var acks []<-chan protocol.Ack
		for i := range 100 {
			acks = append(acks, ann.start(request(string(key("bob")), fmt.Sprint(i))))
		}
		w.stop()
		for i, c := range acks {
			if a := <-c; !a.Queued {
				t.Fatalf("message %d: got %+v, want it accepted", i, a)
			}
		}
		if a := ann.try(request(string(key("bob")), "late")); a.Code != mesh.ShuttingDown || givesUp.MatchString(a.Error) {
			t.Errorf("after the end: got %+v, want shutting_down", a)
		}
		if err := w.q.Attach(context.Background(), ann.conn, w.place(ann.conn), ann, nil); !mesh.IsCode(err, mesh.ShuttingDown) {
			t.Errorf("attach after the end: got %v, want shutting_down", err)
		}
		w.stop = func() {}
	})
}
