package rig

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// hops lists what a caller is told of the way of a message, as place and event; those of the relay with a question mark.
func (w *world) hops(d localapi.Doer, id string) []string {
	w.T.Helper()
	got, err := localapi.MessageTrace.Do(w.T.Context(), d, localapi.StatusRequest{ID: id})
	w.must(err)
	var all []string
	for i, h := range got.Hops {
		mark := "?"
		if h.Verified {
			mark = ""
		}
		all = append(all, h.Where+" "+h.Event+mark)
		if i > 0 && h.At != "" && h.At < got.Hops[i-1].At {
			w.T.Errorf("got %+v after %+v, want them in the order of time", h, got.Hops[i-1])
		}
	}
	if len(got.TraceID) != 16 {
		w.T.Errorf("got the trace id %q, want 16 characters", got.TraceID)
	}
	return all
}

// Both ends know the same trace id, and each its own part of the way.
func TestTrace(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		w.trusts(ben, "ada")
		sent := w.Send(ada, "ben", "hello").ClientMessageID
		w.wantState(ada, sent, mesh.StateDelivered)
		pass(time.Second)
		w.ack(ben, string(sent))
		w.wantState(ada, sent, mesh.StateAcknowledged)
		want := []string{"daemon queued", "broker accepted?", "recipient delivered?", "recipient acknowledged"}
		if diff := cmp.Diff(want, w.hops(ada, string(sent))); diff != "" {
			t.Errorf("the sender: -want +got\n%s", diff)
		}
		want = []string{"broker accepted?", "daemon received", "daemon seen", "daemon acknowledged"}
		if got := w.hops(ben, string(sent)); !slices.Equal(sorted(got), sorted(want)) {
			t.Errorf("the recipient: got %q, want %q", got, want)
		}
		if _, err := localapi.MessageTrace.Do(t.Context(), ada, localapi.StatusRequest{ID: "nothing-like-it"}); !mesh.IsCode(err, mesh.NotFound) {
			t.Errorf("got %v, want %s", err, mesh.NotFound)
		}
	})
}

// What is shown to a session of the same machine is one way from the sender to the host.
func TestTraceToAHost(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one, two := w.open(ada, "one"), w.open(ada, "two")
		sent := w.Send(one, "two", "hello").ClientMessageID
		w.wantTexts(two, "hello")
		w.surfaced(two, 1, w.offered(two)[0].Attempt)
		w.wantState(ada, sent, mesh.StateSurfaced)
		got := w.hops(ada, string(sent))
		for _, want := range []string{"daemon queued", "broker accepted?", "daemon received", "daemon claimed", "host offered", "host surfaced", "recipient surfaced"} {
			if !slices.Contains(got, want) {
				t.Errorf("got %q, want %s among them", got, want)
			}
		}
	})
}

// A reader whose client cannot tell is said to be one, and nothing more is waited for.
func TestDeliveredToAPeerThatCannotTell(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Direction == memnet.Down && f.Type == "peers_list" {
				return [][]byte{[]byte(strings.ReplaceAll(string(f.Data), `,"receipts":true`, ""))}
			}
			return f.Pass()
		})
		pass(time.Minute)
		sent := w.Send(ada, "ben", "hello").ClientMessageID
		got := w.wantState(ada, sent, mesh.StateDelivered)
		if can := got.Recipients[0].CanTell; can == nil || *can || !got.Settled {
			t.Errorf("got %+v, want that nothing more can become known", got)
		}
		w.Send(ben, "ada", "I can") // which proves it
		w.wantTexts(ada, "I can")
		got = w.status(ada, string(sent))
		if can := got.Recipients[0].CanTell; can == nil || !*can || got.Settled {
			t.Errorf("got %+v, want that more may become known", got)
		}
	})
}

// events reads what a stream wrote, as the bodies of its events of a kind.
func events[T any](t *testing.T, stream []byte, kind string) (all []T) {
	t.Helper()
	for event := range bytes.SplitSeq(stream, []byte("\n\n")) {
		_, data, ok := strings.Cut(string(event), "event: "+kind+"\ndata: ")
		if !ok {
			continue
		}
		var one T
		if err := wire.Decode([]byte(data), &one); err != nil {
			t.Fatalf("event %s: %v", data, err)
		}
		all = append(all, one)
	}
	return all
}

// A watch tells each state once, and ends by itself when nothing more can come.
func TestStatusWatch(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		w.trusts(ben, "ada")
		ben.Stop()
		sent := w.Send(ada, "ben", "hello").ClientMessageID
		w.wantState(ada, sent, mesh.StateAccepted)
		stream, ended := listen(t, ada, nil, localapi.StatusWatch, localapi.StatusRequest{ID: string(sent)})
		ben.Start()
		w.wantState(ada, sent, mesh.StateDelivered)
		pass(time.Minute)
		w.ack(ben, string(sent))
		<-ended
		var got []mesh.State
		for _, a := range events[localapi.StatusAnswer](t, stream.bytes(), localapi.EventStatus) {
			if len(got) == 0 || got[len(got)-1] != a.State {
				got = append(got, a.State)
			}
		}
		if diff := cmp.Diff([]mesh.State{mesh.StateAccepted, mesh.StateDelivered, mesh.StateAcknowledged}, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// Each receipt is an event, for the user and for the session that sent the message.
func TestReceiptEvents(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		w.trusts(ben, "ada")
		one, two := w.open(ada, "one"), w.open(ada, "two")
		user, _ := listen(t, ada, nil, localapi.Events, localapi.EventsRequest{})
		mine, _ := listen(t, ada, one, localapi.Events, localapi.EventsRequest{})
		other, _ := listen(t, ada, two, localapi.Events, localapi.EventsRequest{})
		sent := w.Send(one, "ben", "hello").ClientMessageID
		w.wantState(ada, sent, mesh.StateDelivered)
		w.ack(ben, string(sent))
		w.wantState(ada, sent, mesh.StateAcknowledged)
		want := []string{"delivered false", "acknowledged true"}
		for name, l := range map[string]*listener{"user": user, "its session": mine} {
			w.Until("the events are there: "+name, func() bool { return len(l.receipts(t)) >= 2 })
			if diff := cmp.Diff(want, l.receipts(t)); diff != "" {
				t.Errorf("%s: -want +got\n%s", name, diff)
			}
		}
		if got := other.receipts(t); len(got) != 0 {
			t.Errorf("another session: got %q, want nothing", got)
		}
	})
}
