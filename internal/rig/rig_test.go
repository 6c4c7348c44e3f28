package rig

import (
	"maps"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// In the names of tests, Lesson n is row n of daemon 25, Threat n is a bad input that tidy lists, and Acceptance n is row n of
// daemon 24.

const (
	here  = "127.0.0.1:7900"
	there = "127.0.0.1:7901"
)

// world is a rig with one broker and a mesh called team, of which every home is a member; the first owns it.
type world struct {
	*Rig
	broker *Broker
	homes  []*Home
}

// settings change what a world is started with; both may be nil.
type settings struct {
	broker func(*config.Broker)
	daemon func(*config.Daemon)
}

func newWorld(t testing.TB, set settings, names ...string) *world {
	t.Helper()
	r := New(t)
	r.Seed = *seedFlag
	w := &world{Rig: r, broker: r.Broker(here, set.broker)}
	for i, name := range names {
		h := r.Home(name, set.daemon)
		w.homes = append(w.homes, h)
		if i == 0 {
			h.Found(w.broker, "team")
			continue
		}
		w.homes[0].Join("team", h)
	}
	for _, h := range w.homes { // everybody has met everybody
		_, err := localapi.Peers.Do(t.Context(), h, localapi.PeersRequest{})
		w.must(err)
	}
	return w
}

// bubble runs a test of two homes, ada's and ben's, where waiting costs nothing.
func bubble(t *testing.T, set settings, test func(t *testing.T, w *world, ada, ben *Home)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, set, "ada", "ben")
		test(t, w, w.homes[0], w.homes[1])
	})
}

// pass lets time pass, and everything happen that then happens. It is for bubbles.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wantTexts waits until a reader has these texts, and lets no other come.
func (w *world) wantTexts(d localapi.Doer, want ...string) {
	w.T.Helper()
	w.Until("the texts are there", func() bool { return len(w.Inbox(d)) >= len(want) })
	if diff := cmp.Diff(want, w.Texts(d)); diff != "" {
		w.T.Errorf("-want +got\n%s", diff)
	}
}

// wantState waits until a message has come so far, and no further.
func (w *world) wantState(h *Home, id mesh.ClientID, want mesh.State) localapi.StatusAnswer {
	w.T.Helper()
	var got localapi.StatusAnswer
	w.Until("the message is "+string(want), func() bool { got = w.status(h, string(id)); return got.State == want })
	return got
}

func (w *world) status(h *Home, id string) localapi.StatusAnswer {
	w.T.Helper()
	got, err := localapi.MessageStatus.Do(w.T.Context(), h, localapi.StatusRequest{ID: id})
	w.must(err)
	return got
}

// wantOpen waits until a home is connected.
func (w *world) wantOpen(h *Home) {
	w.T.Helper()
	w.Until(h.Name+" is connected", func() bool { return h.Mesh("team").Status == "open" })
}

// outbox lists what a home sent, by status.
func (w *world) outbox(h *Home) map[string]int {
	w.T.Helper()
	answer, err := localapi.Outbox.Do(w.T.Context(), h, localapi.OutboxRequest{Limit: 500})
	w.must(err)
	n := map[string]int{}
	for _, i := range answer.Items {
		n[i.Status]++
	}
	return n
}

// numbers are the texts "0" to n-1.
func numbers(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = strconv.Itoa(i)
	}
	return texts
}

// fields is a frame that a test changes.
type fields map[string]any

func decode(t testing.TB, frame []byte) fields {
	t.Helper()
	var f fields
	if err := wire.Decode(frame, &f); err != nil {
		t.Fatalf("%s: %v", frame, err)
	}
	return f
}

// with returns the frame of f with other values.
func (f fields) with(t testing.TB, pairs ...any) []byte {
	t.Helper()
	changed := fields{}
	for k, v := range f {
		changed[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		changed[pairs[i].(string)] = pairs[i+1]
	}
	data, err := wire.Encode(changed)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// without returns the frame of f without some fields.
func (f fields) without(t testing.TB, names ...string) []byte {
	t.Helper()
	rest := maps.Clone(f)
	for _, name := range names {
		delete(rest, name)
	}
	return rest.with(t)
}

// once is a memnet.Tap that changes the first frame of a type in a direction.
func once(d memnet.Direction, typ string, change func(memnet.Frame) [][]byte) memnet.Tap {
	done := false
	return func(f memnet.Frame) [][]byte {
		if done || f.Direction != d || f.Type != typ {
			return f.Pass()
		}
		done = true
		return change(f)
	}
}

func count(list []string, what string) int {
	n := 0
	for _, s := range list {
		if s == what {
			n++
		}
	}
	return n
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// delivered reports whether a home's outbox has n messages and all of them arrived.
func (w *world) delivered(h *Home, n int) bool {
	w.T.Helper()
	answer, err := localapi.Outbox.Do(w.T.Context(), h, localapi.OutboxRequest{Limit: 500})
	w.must(err)
	for _, i := range answer.Items {
		if w.status(h, string(i.ClientMessageID)).State != mesh.StateDelivered {
			return false
		}
	}
	return len(answer.Items) == n
}
