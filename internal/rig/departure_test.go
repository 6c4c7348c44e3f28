package rig

import (
	"slices"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// wantFrom waits until a caller has exactly these texts, each once, and holds their sender against a key.
func (w *world) wantFrom(d localapi.Doer, key mesh.Key, texts ...string) {
	w.T.Helper()
	w.wantTexts(d, texts...)
	for _, i := range w.Inbox(d) {
		if i.SenderPubkey != key || !i.Verified || !i.Encrypted {
			w.T.Errorf("got %+v, want a box that %s signed", i, key.Short())
		}
	}
}

// away waits until a home has lost its broker.
func (w *world) away(h *Home) {
	w.T.Helper()
	w.Until("the link is down", func() bool { return h.Mesh("team").Status != "open" })
}

// What a session left when it ended is still its own: it leaves under the session's key as soon as it can, once, also when
// the daemon was killed meanwhile, and leaves no ghost.
func TestLesson19MessagesOutliveTheirSession(t *testing.T) {
	ends := map[string]func(w *world, ada *Home, one *Session){
		"deregistered": func(w *world, _ *Home, one *Session) { w.close(one) },
		"killed": func(w *world, ada *Home, one *Session) {
			one.Kill()
			w.Until("it is forgotten", func() bool { return !w.registered(ada, "one") })
		},
		"deregistered, then its daemon killed": func(w *world, ada *Home, one *Session) {
			w.close(one)
			ada.Kill()
			ada.Start()
		},
		"killed while its daemon was": func(_ *world, ada *Home, one *Session) {
			ada.Kill()
			one.Kill()
			ada.Start()
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
				one, err := ada.Spawn("one")
				w.must(err)
				w.wantSessionOpen(one)
				w.wantPeers(ben, "ben", "one")
				w.broker.Stop()
				w.away(ada)
				for _, text := range numbers(3) {
					w.Send(one, "ben", text)
				}
				end(w, ada, one)
				w.broker.Start()
				w.wantFrom(ben, one.Key, numbers(3)...)
				if name := w.Inbox(ben)[0].SenderName; name != "one" {
					t.Errorf("the sender is called %q, want one", name)
				}
				w.waitFor(5*time.Second, "it is gone", func() bool { return w.row(ben, "one").Pubkey == "" })
				if again, err := ada.Spawn("one"); err != nil || again.Key != one.Key {
					t.Errorf("resumed it has the key %s (%v), before it had %s", again.Key, err, one.Key)
				}
			})
		})
	}
}

// registered reports whether a home has a session of an id.
func (w *world) registered(h *Home, id string) bool {
	w.T.Helper()
	answer, err := localapi.Sessions.Do(w.T.Context(), h, localapi.None{})
	w.must(err)
	return slices.ContainsFunc(answer.Sessions, func(s localapi.Session) bool { return s.SessionID == id })
}

// A session that comes back before its messages have left takes them with it.
func TestMessagesOfASessionThatIsBack(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one := w.open(ada, "one")
		ada.Link(w.broker).Cut()
		w.away(ada)
		w.Send(one, "ben", "before")
		w.close(one)
		one = ada.Register("one", nil)
		w.Send(one, "ben", "after")
		ada.Link(w.broker).Heal()
		w.wantFrom(ben, one.Key, "before", "after")
		w.wantSessionOpen(one)
		w.Send(ben, "one", "still there?")
		w.wantTexts(one, "still there?")
	})
}

// What comes for a session that has ended waits at the broker, also while its own messages leave.
func TestMailOfADepartedSessionWaits(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one := w.open(ada, "one")
		ada.Link(w.broker).Cut()
		w.away(ada)
		w.Send(one, "ben", "bye")
		w.close(one)
		id := w.Send(ben, string(one.Key), "wait").ClientMessageID
		w.wantState(ben, id, mesh.StateAccepted)
		ada.Link(w.broker).Heal()
		w.wantFrom(ben, one.Key, "bye")
		w.Until("it is gone", func() bool { return w.row(ben, "one").Pubkey == "" })
		if state := w.status(ben, string(id)).State; state != mesh.StateAccepted {
			t.Errorf("the message is %s, want it to wait for the session", state)
		}
		w.wantTexts(w.open(ada, "one"), "wait")
	})
}

// A message that the broker does not take in the session's name, for a few seconds, is its member's to send: nobody sees an
// ended session for long, and nothing is lost.
func TestMessagesThatDoNotLeaveAreTheMembers(t *testing.T) {
	t.Parallel()
	full := quick
	full.broker = func(b *config.Broker) { quick.broker(b); b.PairRows = 1 }
	w := newWorld(t, full, "ada", "ben")
	ada, ben := w.homes[0], w.homes[1]
	one := w.open(ada, "one")
	w.wantPeers(ben, "ben", "one")
	ben.Stop()
	w.wantState(ada, w.Send(one, "ben", "first").ClientMessageID, mesh.StateAccepted)
	w.Send(one, "ben", "second")
	w.close(one)
	w.waitFor(6*time.Second, "it is gone", func() bool { return w.row(ada, "one").Pubkey == "" })
	ben.Start()
	w.wantTexts(ben, "first", "second")
	items := w.Inbox(ben)
	if items[0].SenderPubkey != one.Key || items[1].SenderPubkey != ada.Mesh("team").Pubkey {
		t.Errorf("got %s and %s, want the session, then its member", items[0].SenderPubkey, items[1].SenderPubkey)
	}
}
