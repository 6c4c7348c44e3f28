package rig

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

func (w *world) inspect(d localapi.Doer, id mesh.ClientID) localapi.InspectAnswer {
	w.T.Helper()
	got, err := localapi.OutboxInspect.Do(w.T.Context(), d, localapi.InspectRequest{ID: string(id)})
	w.must(err)
	return got
}

func (w *world) requeue(d localapi.Doer, id, next mesh.ClientID) localapi.RequeueAnswer {
	w.T.Helper()
	got, err := localapi.OutboxRequeue.Do(w.T.Context(), d, localapi.RequeueRequest{ID: string(id), NewClientMessageID: next})
	w.must(err)
	return got
}

// A dead message to one peer that is requeued stays a message to that peer: sealed, and nobody else gets it.
func TestLesson4RequeueOfADeadDirectMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, settings{}, "ada", "ben", "carol")
		ada, ben, carol := w.homes[0], w.homes[1], w.homes[2]
		ada.Link(w.broker).Cut()
		pass(time.Second)
		sent := w.Send(ada, "ben", "between us")
		ada.Stop()
		w.exec(ada.Paths().Daemon.Outbox(), "UPDATE outbox SET status = 'dead', last_error = 'max_age', next_attempt_at = enqueued_at + 1")
		ada.Start()
		if got := w.inspect(ada, sent.ClientMessageID); got.Status != "dead" || got.State != mesh.StateExpired || *got.Body != "between us" || !got.MayBeSent {
			t.Errorf("got %+v, want the dead message with its text, and that it is in doubt", got)
		}
		again := w.requeue(ada, sent.ClientMessageID, "again")
		if again.NewClientMessageID != "again" || !again.Encrypted || !again.MayBeDoubled || again.TargetSpec != sent.Target {
			t.Errorf("got %+v, want it sealed for %s, and that it may be doubled", again, sent.Target)
		}
		if repeated := w.requeue(ada, sent.ClientMessageID, "again"); repeated.NewRowID != again.NewRowID {
			t.Errorf("the same request again made row %s, want %s", repeated.NewRowID, again.NewRowID)
		}
		ada.Link(w.broker).Heal()
		w.wantState(ada, "again", mesh.StateDelivered)
		w.wantTexts(ben, "between us")
		if got := w.Inbox(ben)[0]; !got.Encrypted || got.ClientMessageID != "again" {
			t.Errorf("got %+v, want it sealed, under its new id", got)
		}
		if got := w.Texts(carol); len(got) != 0 {
			t.Errorf("carol got %q, want nothing", got)
		}
		_, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: "ben", Message: "between us", ClientMessageID: string(sent.ClientMessageID)})
		if !mesh.IsCode(err, mesh.Reused) {
			t.Errorf("a retry of the aborted id: got %v, want %s", err, mesh.Reused)
		}
	})
}

// Before it has left, a message can be sent with another text or not at all; afterwards it cannot.
func TestOutboxOfAnAbsentNetwork(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Link(w.broker).Cut()
		pass(time.Second)
		kept, patched, cancelled := w.Send(ada, "ben", "kept"), w.Send(ada, "ben", "old text"), w.Send(ada, "ben", "cancelled")
		text := "new text"
		_, err := localapi.OutboxRequeue.Do(t.Context(), ada, localapi.RequeueRequest{ID: string(patched.ClientMessageID), NewClientMessageID: "patched", Payload: &text})
		w.must(err)
		if got := w.inspect(ada, "patched"); got.Status != "pending" || *got.Body != text || got.MayBeSent {
			t.Errorf("got %+v, want it pending with its new text", got)
		}
		answer, err := localapi.OutboxCancel.Do(t.Context(), ada, localapi.CancelRequest{ID: string(cancelled.ClientMessageID), AbortedBy: "ada"})
		w.must(err)
		if answer.ClientMessageID != cancelled.ClientMessageID || answer.MayBeSent {
			t.Errorf("got %+v, want it cancelled and never sent", answer)
		}
		if got := w.status(ada, string(cancelled.ClientMessageID)); got.State != mesh.StateRejected || got.Recipients[0].Reason != "cancelled" ||
			got.LastError != "cancelled" || !got.Recipients[0].Verified {
			t.Errorf("got %+v, want it rejected because it was cancelled, which is not the relay's word", got)
		}
		ada.Link(w.broker).Heal()
		w.wantState(ada, "patched", mesh.StateDelivered)
		w.wantTexts(ben, "kept", text)
		for _, id := range []mesh.ClientID{kept.ClientMessageID, "patched"} {
			_, err := localapi.OutboxCancel.Do(t.Context(), ada, localapi.CancelRequest{ID: string(id)})
			if !mesh.IsCode(err, mesh.MessageSettled) {
				t.Errorf("cancel of what the broker has: got %v, want %s", err, mesh.MessageSettled)
			}
			_, err = localapi.OutboxRequeue.Do(t.Context(), ada, localapi.RequeueRequest{ID: string(id)})
			if !mesh.IsCode(err, mesh.MessageSettled) {
				t.Errorf("requeue of what the broker has: got %v, want %s", err, mesh.MessageSettled)
			}
		}
	})
}

// A message that is requeued while it is under way may come twice, which its sender is told; the state of the old one
// tells the truth when the broker's answer comes after all.
func TestRequeueOfWhatIsUnderWay(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Link(w.broker).Stall(memnet.Down)
		sent := w.Send(ada, "ben", "once or twice")
		w.wantTexts(ben, "once or twice")
		if _, err := localapi.OutboxCancel.Do(t.Context(), ada, localapi.CancelRequest{ID: string(sent.ClientMessageID)}); !mesh.IsCode(err, mesh.MessageInflight) {
			t.Errorf("cancel of what is under way: got %v, want %s", err, mesh.MessageInflight)
		}
		if again := w.requeue(ada, sent.ClientMessageID, "again"); !again.MayBeDoubled {
			t.Errorf("got %+v, want a word that it may be doubled", again)
		}
		ada.Link(w.broker).Heal()
		w.wantState(ada, "again", mesh.StateDelivered)
		w.wantTexts(ben, "once or twice", "once or twice")
		w.wantState(ada, sent.ClientMessageID, mesh.StateDelivered)
		if got := w.inspect(ada, sent.ClientMessageID); got.Status != "aborted" || got.BrokerMessageID == nil {
			t.Errorf("got %+v, want it aborted, with the id that the broker gave it", got)
		}
	})
}

// A session reads and changes what it sent, and nothing else; its message is sealed by the session again.
func TestOutboxOfASession(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one, two := w.open(ada, "one"), w.open(ada, "two")
		ada.Link(w.broker).Cut()
		w.Until("ada is cut off", func() bool { return ada.Mesh("team").Status != "open" })
		mine, users := w.Send(one, "ben", "mine"), w.Send(ada, "ben", "the user's")
		for _, c := range []struct {
			who localapi.Doer
			id  mesh.ClientID
		}{{two, mine.ClientMessageID}, {one, users.ClientMessageID}} {
			_, err := localapi.OutboxInspect.Do(t.Context(), c.who, localapi.InspectRequest{ID: string(c.id)})
			if !mesh.IsCode(err, mesh.NotFound) {
				t.Errorf("inspect of another's message: got %v, want %s", err, mesh.NotFound)
			}
			_, err = localapi.OutboxCancel.Do(t.Context(), c.who, localapi.CancelRequest{ID: string(c.id)})
			if !mesh.IsCode(err, mesh.NotFound) {
				t.Errorf("cancel of another's message: got %v, want %s", err, mesh.NotFound)
			}
			_, err = localapi.OutboxRequeue.Do(t.Context(), c.who, localapi.RequeueRequest{ID: string(c.id)})
			if !mesh.IsCode(err, mesh.NotFound) {
				t.Errorf("requeue of another's message: got %v, want %s", err, mesh.NotFound)
			}
		}
		w.requeue(one, mine.ClientMessageID, "mine-again")
		ada.Link(w.broker).Heal()
		w.wantState(ada, "mine-again", mesh.StateDelivered)
		w.Until("both are there", func() bool { return len(w.Inbox(ben)) >= 2 })
		senders := map[mesh.ClientID]mesh.Key{}
		for _, got := range w.Inbox(ben) {
			senders[got.ClientMessageID] = got.SenderPubkey
		}
		want := map[mesh.ClientID]mesh.Key{"mine-again": one.Key, users.ClientMessageID: ada.Mesh("team").Pubkey}
		if diff := cmp.Diff(want, senders); diff != "" {
			t.Errorf("senders by message (-want +got):\n%s", diff)
		}
	})
}
