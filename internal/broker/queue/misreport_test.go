package queue

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// An acknowledgement that comes late, when its message is pushed to nobody any more, is not taken for that of another sender's
// message that has the same id: nobody said that it was stored.
func TestLateAcknowledgementIsNobodyElses(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "ben", "carol")
		ann, ben, carol := w.attach("m", "ann", "ann1"), w.attach("m", "ben", "ben1"), w.attach("m", "carol", "carol1")
		one := request(string(key("carol1")), "of ann")
		two := request(string(key("carol1")), "of ben")
		one.ClientMessageID, two.ClientMessageID = "same", "same"
		first := ann.try(one)
		if got := texts(carol.pushes()); len(got) != 1 {
			t.Fatalf("carol got %q, want one", got)
		}
		carol.detach()
		ben.try(two)
		again := w.attach("m", "carol", "carol1")
		if got := texts(again.pushes()); len(got) != 2 {
			t.Fatalf("carol got %q, want both", got)
		}
		again.ackIDs(first.MessageID, "same")
		again.ackIDs(first.MessageID, "same") // once more, as for a copy that came twice
		w.settle()
		again.detach()
		last := w.attach("m", "carol", "carol1")
		if d := cmp.Diff([]string{"of ben"}, texts(last.pushes())); d != "" {
			t.Errorf("what was not acknowledged (-want +got):\n%s", d)
		}
	})
}

// A message that is on its way to its recipient when its time is over is not called expired: it may be there already.
func TestMessageOnItsWayDoesNotExpire(t *testing.T) {
	set := settings()
	set.MessageTTL, set.Lease = 10*time.Minute, 30*time.Second
	inWorld(t, set, func(t *testing.T, w *world) {
		w.mesh("m", "ann", "ben")
		ann := w.attach("m", "ann", "ann1")
		w.attach("m", "ben", "ben1").detach()
		ann.send(string(key("ben1")), "just in time")
		w.pass(set.MessageTTL - time.Second)
		ben := w.attach("m", "ben", "ben1")
		got := ben.pushes()
		if len(got) != 1 {
			t.Fatalf("ben got %q, want the message", texts(got))
		}
		for range 200 { // over the next sweep: each lease is followed by the next
			w.pass(time.Second)
			if again := ben.pushes(); len(again) > 0 {
				got = again
			}
		}
		ben.ack(got...)
		w.pass(time.Second)
		receipts := ann.receipts()
		if len(receipts) != 1 || receipts[0].State != mesh.StateDelivered {
			t.Errorf("ann was told %+v, want that it was delivered, once", receipts)
		}
	})
}
