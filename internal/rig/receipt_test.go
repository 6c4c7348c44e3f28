package rig

import (
	"errors"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

func TestLesson129ReceiptsTellHowFarAMessageCame(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ben.Stop()
		ada.Link(w.broker).Cut()
		pass(time.Second)
		sent := w.Send(ada, "ben", "hello").ClientMessageID
		w.wantState(ada, sent, mesh.StateQueued)
		ada.Link(w.broker).Heal()
		if got := w.wantState(ada, sent, mesh.StateAccepted); got.Delivered || got.MessageID == "" {
			t.Errorf("got %+v, want the broker's id and no delivery", got)
		}
		ben.Start()
		got := w.wantState(ada, sent, mesh.StateDelivered)
		bens := ben.Mesh("team").Pubkey
		if !got.Delivered || got.DeliveredAt == nil || len(got.Recipients) != 1 || got.Recipients[0].Pubkey != bens || got.Recipients[0].Name != "ben" {
			t.Errorf("got %+v, want delivery to ben, and when", got)
		}
		if got.Recipients[0].Verified {
			t.Error("a receipt of the relay is verified")
		}
	})
}

func TestStatusByPrefix(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		req := localapi.SendRequest{To: "ben", Message: "hello", ClientMessageID: "release-1-notes"}
		_, err := localapi.Send.Do(t.Context(), ada, req)
		w.must(err)
		want := w.wantState(ada, "release-1-notes", mesh.StateDelivered)
		req.ClientMessageID = "release-2-notes"
		_, err = localapi.Send.Do(t.Context(), ada, req)
		w.must(err)
		for _, id := range []string{"release-1", string(want.MessageID), string(want.MessageID[:12])} {
			if got := w.status(ada, id); got.ClientMessageID != want.ClientMessageID {
				t.Errorf("%s: got %+v, want release-1-notes", id, got)
			}
		}
		for id, code := range map[string]mesh.Code{"release-": mesh.BadRequest, "release": mesh.NotFound, "release-3": mesh.NotFound} {
			if _, err := localapi.MessageStatus.Do(t.Context(), ada, localapi.StatusRequest{ID: id}); !mesh.IsCode(err, code) {
				t.Errorf("%s: got %v, want %s", id, err, code)
			}
		}
	})
}

func TestLesson213ExpiryReachesTheSender(t *testing.T) {
	set := settings{broker: func(b *config.Broker) { b.MessageTTL = time.Minute }}
	bubble(t, set, func(t *testing.T, w *world, ada, ben *Home) {
		ben.Stop()
		sent := w.Send(ada, "ben", "too late").ClientMessageID
		w.wantState(ada, sent, mesh.StateAccepted)
		ada.Stop() // what it misses it reads later
		pass(2 * time.Minute)
		ada.Start()
		got := w.wantState(ada, sent, mesh.StateExpired)
		if got.Delivered || len(got.Recipients) != 1 || got.Recipients[0].Reason == "" {
			t.Errorf("got %+v, want one recipient, and why", got)
		}
		ben.Start()
		kept := w.Send(ada, "ben", "in time").ClientMessageID
		w.wantState(ada, kept, mesh.StateDelivered)
		w.wantTexts(ben, "in time")
	})
}

// Receipts that were given while the sender was away are read when it comes back, be they many.
func TestMissedReceiptsAreRead(t *testing.T) {
	eachWay(t, func(t *testing.T, way string, w *world, ada, ben *Home) {
		ben.Stop()
		var last mesh.ClientID
		for _, text := range numbers(30) {
			last = w.Send(ada, "ben", text).ClientMessageID
		}
		w.wantState(ada, last, mesh.StateAccepted)
		ada.endBy(way)
		ben.Start()
		w.wantTexts(ben, numbers(30)...)
		pass(time.Second)
		w.broker.endBy(way)
		w.broker.Start()
		ada.Start()
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 30) })
	})
}

// A receipt that is lost with its connection is read on the next.
func TestLostReceiptsAreRead(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		link := ada.Link(w.broker)
		lost := 0
		link.Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "receipt" && lost < 3 {
				lost++
				link.Reset()
				return nil
			}
			return f.Pass()
		})
		for _, text := range numbers(10) {
			w.Send(ada, "ben", text)
		}
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 10) })
		if lost == 0 { // how many more depends on how the receipts fall into pages
			t.Error("no receipt was lost")
		}
	})
}

// A receipt that does not come although its connection lives is read when a later one shows that it is missing.
func TestReceiptBeforeAnotherIsRead(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Link(w.broker).Tap(once(memnet.Down, "receipt", func(memnet.Frame) [][]byte { return nil }))
		first := w.Send(ada, "ben", "first").ClientMessageID
		pass(time.Minute)
		w.wantState(ada, first, mesh.StateAccepted)
		began := time.Now()
		w.Send(ada, "ben", "second")
		w.Until("both are delivered", func() bool { return w.delivered(ada, 2) })
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v, want no waiting", took)
		}
	})
}

// Receipts that were missed are asked for again when the first question for them has no answer.
func TestReceiptsAreAskedForAgain(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		link, lost := ada.Link(w.broker), 0
		link.Stall(memnet.Down) // the receipt is lost with the connection
		w.Send(ada, "ben", "hello")
		w.wantTexts(ben, "hello")
		pass(time.Second)
		link.Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "receipts_since" && lost < 2 {
				lost++
				return nil
			}
			return f.Pass()
		})
		link.Reset()
		link.Heal()
		w.Until("it is delivered", func() bool { return w.delivered(ada, 1) })
		if lost != 2 {
			t.Errorf("%d questions were lost, want 2", lost)
		}
	})
}

func TestWait(t *testing.T) {
	set := settings{broker: func(b *config.Broker) { b.MessageTTL = time.Minute }}
	bubble(t, set, func(t *testing.T, w *world, ada, ben *Home) {
		send := func(text string, wait mesh.State, limit time.Duration) (localapi.SendAnswer, time.Duration, error) {
			began := time.Now()
			a, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{
				To: "ben", Message: text, ClientMessageID: "the-" + text, Wait: wait, WaitMs: limit.Milliseconds(),
			})
			return a, time.Since(began), err
		}
		if a, took, err := send("first", mesh.StateDelivered, time.Minute); err != nil || a.State != mesh.StateDelivered || took > time.Second {
			t.Errorf("got %+v, %v after %v, want it delivered", a, err, took)
		}
		ben.Stop()
		if a, took, err := send("second", mesh.StateAccepted, time.Minute); err != nil || a.State != mesh.StateAccepted || took > time.Second {
			t.Errorf("got %+v, %v after %v, want it accepted", a, err, took)
		}
		_, took, err := send("third", mesh.StateDelivered, 10*time.Second)
		if !mesh.IsCode(err, mesh.WaitTimeout) || stateOf(err) != mesh.StateAccepted || took < 10*time.Second || took > 11*time.Second {
			t.Errorf("got %v in state %s after %v, want %s, accepted, 10 s", err, stateOf(err), took, mesh.WaitTimeout)
		}
		ada.Link(w.broker).Cut()
		pass(time.Second)
		if _, _, err := send("fourth", mesh.StateDelivered, time.Second); stateOf(err) != mesh.StateQueued {
			t.Errorf("got %v in state %s, want queued", err, stateOf(err))
		}
		ada.Link(w.broker).Heal()
		if _, took, err := send("fifth", mesh.StateDelivered, 5*time.Minute); !mesh.IsCode(err, mesh.Undelivered) || stateOf(err) != mesh.StateExpired {
			t.Errorf("got %v after %v, want %s, expired", err, took, mesh.Undelivered)
		}
		ben.Start()
		if a, _, err := send("third", mesh.StateDelivered, time.Minute); !mesh.IsCode(err, mesh.Undelivered) {
			t.Errorf("got %+v, %v for a message that has expired, want %s", a, err, mesh.Undelivered)
		}
	})
}

// stateOf is how far a message had come when the waiting for it failed.
func stateOf(err error) mesh.State {
	if e, ok := errors.AsType[*mesh.Error](err); ok {
		return e.Details.State
	}
	return ""
}
