package rig

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// quick are settings for tests in real time: nothing is waited for that need not be.
var quick = settings{
	broker: func(b *config.Broker) { b.Lease = 300 * time.Millisecond },
	daemon: func(d *config.Daemon) { d.ReconnectMin, d.ReconnectMax = 10*time.Millisecond, 100*time.Millisecond },
}

// sessionTest runs a test with sessions, which need the real clock.
func sessionTest(t *testing.T, test func(t *testing.T, w *world, ada, ben *Home)) {
	t.Helper()
	t.Parallel()
	w := newWorld(t, quick, "ada", "ben")
	test(t, w, w.homes[0], w.homes[1])
}

// wantPeers waits until a caller sees exactly these names, offline ones included or not.
func (w *world) wantPeers(d localapi.Doer, want ...string) {
	w.T.Helper()
	var got []string
	w.Until(fmt.Sprintf("the peers are %q", want), func() bool {
		answer, err := localapi.Peers.Do(w.T.Context(), d, localapi.PeersRequest{})
		w.must(err)
		got = nil
		for _, p := range answer.Peers {
			got = append(got, p.DisplayName)
		}
		return slices.Equal(sorted(got), sorted(want))
	})
}

// open registers a session and waits until the broker knows it.
func (w *world) open(h *Home, id string) *Session {
	w.T.Helper()
	s := h.Register(id, nil)
	w.wantSessionOpen(s)
	return s
}

func (w *world) wantSessionOpen(s *Session) {
	w.T.Helper()
	w.Until("session "+s.ID+" is connected", func() bool {
		me, err := localapi.SessionMe.Do(w.T.Context(), s, localapi.None{})
		return err == nil && len(me.Sessions) > 0 && me.Sessions[0].Status == "open"
	})
}

func (w *world) close(s *Session) {
	w.T.Helper()
	_, err := localapi.SessionDeregister.Do(w.T.Context(), s, localapi.DeregisterRequest{Token: s.Token})
	w.must(err)
}

// Two sessions, one daemon, same folder: they see each other, write both ways, hear no echo, read nothing of the other
// (lessons 4, test 1).
func TestLesson13TwoSessionsOfOneDaemon(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one, two := w.open(ada, "one"), w.open(ada, "two")
		w.wantPeers(one, "ben", "one", "two")
		w.wantPeers(two, "ben", "one", "two")
		w.wantPeers(ben, "ben", "one", "two")
		w.Send(one, "two", "from one")
		w.wantTexts(two, "from one")
		w.Send(two, "one", "from two")
		w.wantTexts(one, "from two")
		w.Send(ben, "one", "from ben")
		w.wantTexts(one, "from two", "from ben")
		w.Send(two, "ben", "to ben")
		w.wantTexts(ben, "to ben")
		w.wantTexts(one, "from two", "from ben")
		w.wantTexts(two, "from one")
		w.wantTexts(ada, "from one", "from two", "from ben")
		if got := w.Inbox(ben)[0]; got.SenderPubkey != two.Key || got.SenderName != "two" || got.SenderMemberPubkey != ada.Mesh("team").Pubkey {
			t.Errorf("got %+v, want the session as its sender", got)
		}
		if got := w.Inbox(one)[1]; got.RecipientPubkey != one.Key || got.RecipientKind != "session" {
			t.Errorf("got %+v, want the session as its recipient", got)
		}
	})
}

// A message to the member is shown to all its sessions; one from a session to many comes back to nobody who sent it
// (design D1, lessons 1, row 10).
func TestLesson110MemberMessagesAndNoEcho(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one, two := w.open(ada, "one"), w.open(ada, "two")
		w.Send(ben, string(ada.Mesh("team").Pubkey), "to the member")
		w.wantTexts(one, "to the member")
		w.wantTexts(two, "to the member")
		w.wantTexts(ada, "to the member")
		if got := w.Inbox(one)[0]; got.RecipientKind != "member" {
			t.Errorf("got %+v, want a message to the member", got)
		}
		_, err := localapi.Send.Do(t.Context(), one, localapi.SendRequest{To: "*", Message: "to all"})
		w.must(err)
		w.wantTexts(ben, "to all")
		w.Until("it is at two", func() bool { return slices.Contains(w.Texts(two), "-") || slices.Contains(w.Texts(two), "to all") })
		w.Send(ben, "one", "last")
		w.wantTexts(one, "to the member", "last")
	})
}

// Text that nobody sealed is a header without a body to a session, and whole to its human (design E3, C10).
func TestLesson212ToEveryoneOncePerSession(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one, two := w.open(ada, "one"), w.open(ada, "two")
		_, err := localapi.Send.Do(t.Context(), ben, localapi.SendRequest{To: "*", Message: "to all"})
		w.must(err)
		for _, s := range []*Session{one, two} {
			w.wantTexts(s, "to all")
			if got := w.Inbox(s)[0]; got.Held || got.Encrypted || !got.Verified || got.RecipientPubkey != s.Key {
				t.Errorf("got %+v, want a text for session %s that its sender signed", got, s.ID)
			}
		}
		w.Until("each copy is there", func() bool { return len(w.Inbox(ada)) == 2 })
		w.wantTexts(ada, "to all", "to all")
	})
}

func TestDeregisteredSessionsFallOut(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one := w.open(ada, "one")
		w.open(ada, "two")
		w.wantPeers(ben, "ben", "one", "two")
		w.close(one)
		w.wantPeers(ben, "ben", "two")
		sent := w.Send(ben, string(one.Key), "for later").ClientMessageID
		w.wantState(ben, sent, mesh.StateAccepted)
		if _, err := localapi.SessionMe.Do(t.Context(), one, localapi.None{}); !mesh.IsCode(err, mesh.SessionUnknown) {
			t.Errorf("got %v with a token that has ended, want %s", err, mesh.SessionUnknown)
		}
		again := w.open(ada, "one")
		w.wantTexts(again, "for later")
		w.wantState(ben, sent, mesh.StateDelivered)
	})
}

// The key of a session is that of its host's session id, through whatever ends and begins again; it has one connection
// (lessons 1, row 14; 4, tests 3 and 8).
func TestLesson114KeysAreStable(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		first := w.open(ada, "one")
		last := first
		same := func(what string, s *Session) {
			t.Helper()
			if s.Key != first.Key {
				t.Errorf("%s: got key %s, want %s as before", what, s.Key, first.Key)
			}
			w.wantPeers(ben, "ben", "one")
			last = s
		}
		for range 10 {
			same("registered anew", ada.Register("one", last))
		}
		w.close(last)
		same("ended and begun", w.open(ada, "one"))
		for _, way := range ways {
			ada.endBy(way)
			ada.Start()
			w.wantSessionOpen(last) // with its token of before
			same("daemon restarted by "+way, ada.Register("one", last))
			w.broker.endBy(way)
			w.broker.Start()
			w.wantSessionOpen(last)
			same("broker restarted by "+way, last)
		}
		w.Send(ben, "one", "hello")
		w.wantTexts(last, "hello")
		if _, err := localapi.SessionRegister.Do(t.Context(), ada, localapi.RegisterRequest{
			SessionID: "one", PID: os.Getpid(), CWD: "/", OldToken: "wrong",
		}); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("got %v for a stranger's registration, want %s", err, mesh.Forbidden)
		}
	})
}

// Thirteen hours after their launch the broker restarts, and all sessions return (lessons 4, test 5).
func TestLesson115SessionsOfYesterdayReturn(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one := w.open(ada, "one")
		for _, c := range []*Clock{ada.Clock, ben.Clock, w.broker.Clock} {
			c.Turn(13 * time.Hour)
		}
		w.broker.Kill()
		w.broker.Start()
		w.wantSessionOpen(one)
		w.wantPeers(ben, "ben", "one")
		w.Send(ben, "one", "good morning")
		w.wantTexts(one, "good morning")
	})
}

// What a session sent while there was no connection leaves under its own key, also after a restart, and in its order.
func TestLesson19QueuedMessagesKeepTheirSender(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one := w.open(ada, "one")
		ada.Link(w.broker).Cut()
		w.Until("the link is down", func() bool { return ada.Mesh("team").Status != "open" })
		for _, text := range numbers(5) {
			w.Send(one, "ben", text)
		}
		ada.Kill()
		ada.Link(w.broker).Heal()
		ada.Start()
		w.wantTexts(ben, numbers(5)...)
		for _, i := range w.Inbox(ben) {
			if i.SenderPubkey != one.Key || !i.Encrypted {
				t.Errorf("got %+v, want the session as its sender", i)
			}
		}
	})
}

// A session that acts without its human is shown nothing of others; its human is (design E3).
func TestHeldFromUnattendedSessions(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		careful := w.open(ada, "careful")
		wild := &Session{ID: "wild", home: ada}
		answer, err := localapi.SessionRegister.Do(t.Context(), wild, localapi.RegisterRequest{
			SessionID: "wild", PID: os.Getpid(), CWD: "/", DisplayName: "wild", Host: localapi.Host{Name: "codex"},
		})
		w.must(err)
		wild.Token = answer.Token
		w.wantSessionOpen(wild)
		sent := w.Send(ben, "wild", "rm -rf").ClientMessageID
		w.wantState(ben, sent, mesh.StateDelivered)
		w.Send(ben, string(ada.Mesh("team").Pubkey), "to the member")
		w.wantTexts(careful, "to the member")
		inbox, err := localapi.Inbox.Do(t.Context(), wild, localapi.InboxRequest{})
		w.must(err)
		if len(inbox.Items) != 0 || inbox.HeldCount != 2 {
			t.Errorf("got %+v, want nothing but that two are held", inbox)
		}
		if diff := cmp.Diff([]string{"rm -rf", "to the member"}, w.Texts(ada)); diff != "" {
			t.Errorf("for the human: -want +got\n%s", diff)
		}
	})
}
