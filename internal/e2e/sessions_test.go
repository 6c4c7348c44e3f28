//go:build unix

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Two sessions of one member in one folder see each other, write to each other, and read nothing of each other.
func TestTwoSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	anna.must("up")
	a, b := anna.open(uuid.NewString()), anna.open(uuid.NewString())
	keyA, keyB := a.whoami().Key, b.whoami().Key
	if keyA == keyB || a.whoami().Name == b.whoami().Name {
		t.Fatalf("the sessions are not two: keys %s and %s, names %s and %s", keyA, keyB, a.whoami().Name, b.whoami().Name)
	}
	seesBoth(t, a, keyA, keyB)
	seesBoth(t, b, keyB, keyA)

	var sent sentView
	a.ask(&sent, "send", string(keyB), "from a to b", "--wait")
	if sent.State != mesh.StateDelivered || sent.Target != keyB {
		t.Errorf("a's message is %s for %s, want delivered for %s", sent.State, sent.Target, keyB)
	}
	b.must("send", string(keyA), "from b to a", "--wait")
	eventually(t, "both are shown what they got", func() bool {
		return len(a.shown.texts()) == 1 && len(b.shown.texts()) == 1
	})
	for _, tt := range []struct {
		name     string
		s        *session
		from, to place
		text     string
	}{{"a", a, b.whoami(), a.whoami(), "from b to a"}, {"b", b, a.whoami(), b.whoami(), "from a to b"}} {
		shown := tt.s.shown.list()[0]
		if !strings.HasSuffix(shown.Content, tt.from.Name+": "+tt.text) {
			t.Errorf("%s is shown %q, want %q of %s", tt.name, shown.Content, tt.text, tt.from.Name)
		}
		if got := shown.Meta["from_session_pubkey"]; got != string(tt.from.Key) {
			t.Errorf("%s is shown a message of %s, want %s", tt.name, got, tt.from.Key)
		}
		if diff := cmp.Diff([]string{tt.text}, tt.s.inbox()); diff != "" {
			t.Errorf("inbox of %s (-want +got):\n%s", tt.name, diff)
		}
		if diff := cmp.Diff([]string{tt.text}, tt.s.follow()); diff != "" {
			t.Errorf("events of %s (-want +got):\n%s", tt.name, diff)
		}
	}
	if got := anna.texts(); len(got) != 2 {
		t.Errorf("outside of the sessions the inbox has %q, want both", got)
	}
	nobodyInside(t, a)
	if n := len(a.shown.list()) + len(b.shown.list()); n != 2 {
		t.Errorf("%d notifications after two messages: %v %v", n, a.shown.list(), b.shown.list())
	}
}

// seesBoth checks the roster of a session: its own row first, and the other one.
func seesBoth(t *testing.T, s *session, own, other mesh.Key) {
	t.Helper()
	eventually(t, "a session sees the other", func() bool {
		return slices.ContainsFunc(s.peers(), func(p peerRow) bool { return p.Key == other && !p.This && p.Self })
	})
	rows := s.peers()
	if rows[0].Key != own || !rows[0].This || !rows[0].Self {
		t.Errorf("the first row is %+v, want this session %s", rows[0], own)
	}
	seen := map[mesh.Key]int{}
	for _, p := range rows {
		seen[p.Key]++
		if p.Role == "control-plane" {
			t.Errorf("the daemon's own row is listed: %+v", p)
		}
	}
	if seen[own] != 1 || seen[other] != 1 {
		t.Errorf("rows of the sessions: %v, want one each", seen)
	}
}

// nobodyInside checks that a process inside a session, which cannot say which one it is in, reads nothing.
func nobodyInside(t *testing.T, s *session) {
	t.Helper()
	for _, args := range [][]string{{"inbox", "--json"}, {"peers", "--json"}, {"send", "x", "y"}} {
		a := s.bare(args...)
		if a.Exit != mesh.SessionUnknown.Exit() || strings.Contains(a.Out+a.Err, "from ") {
			t.Errorf("%v without a token: exit status %d, want %d, and nothing of the messages:\n%s%s",
				args, a.Exit, mesh.SessionUnknown.Exit(), a.Out, a.Err)
		}
	}
	a, err := s.tell(order{Follow: true, Bare: true})
	if err != nil || a.Exit != mesh.SessionUnknown.Exit() {
		t.Errorf("events without a token: %+v (%v), want exit status %d", a, err, mesh.SessionUnknown.Exit())
	}
}

// A session that comes back under its host's id is the same one: its key, its mail, no ghost; one whose host was killed is
// gone within seconds.
func TestRelaunch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.pair()
	id := uuid.NewString()
	first := anna.open(id)
	key := first.whoami().Key
	sees := func() int {
		var rows []peerRow
		ben.ask(&rows, "peers")
		return len(slices.DeleteFunc(rows, func(p peerRow) bool { return p.Key != key }))
	}
	ben.eventually("sees the session", func() bool { return sees() == 1 })
	ben.must("send", string(key), "while it is there", "--wait")
	eventually(t, "it is shown", func() bool { return len(first.shown.texts()) == 1 })

	first.close()
	ben.eventually("sees it gone", func() bool { return sees() == 0 })
	ben.must("send", string(key), "while it is away", "--wait=accepted")

	second := anna.open(id)
	if got := second.whoami().Key; got != key {
		t.Errorf("the key is %s after a relaunch, want %s", got, key)
	}
	eventually(t, "it is shown what came meanwhile", func() bool { return len(second.shown.texts()) > 0 })
	if got := second.shown.texts(); len(got) != 1 || !strings.HasSuffix(got[0], "while it is away") {
		t.Errorf("shown after a relaunch: %q, want only what came meanwhile", got)
	}
	if diff := cmp.Diff([]string{"while it is there", "while it is away"}, second.inbox()); diff != "" {
		t.Errorf("inbox after a relaunch (-want +got):\n%s", diff)
	}
	ben.eventually("sees it again, once", func() bool { return sees() == 1 })

	second.crash(t)
	killed := time.Now()
	ben.eventually("sees it gone", func() bool { return sees() == 0 })
	if took := time.Since(killed); took > 5*time.Second {
		t.Errorf("a session whose host was killed was listed for %s, want at most 5s", took)
	}
	anna.eventually("has no session", func() bool { return len(anna.sessions()) == 0 })
}

// A session that acts without asking is shown nothing of others, and its human everything (design E3).
func TestHoldGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.pair()
	held := anna.open(uuid.NewString(), "--dangerously-skip-permissions")
	equal := anna.open(uuid.NewString(), "--dangerously-skip-permissions")
	asks := anna.open(uuid.NewString())

	for _, text := range []string{"one", "two", "three"} {
		var sent sentView
		ben.ask(&sent, "send", string(held.whoami().Key), "please run "+text, "--wait")
		if sent.State != mesh.StateDelivered {
			t.Errorf("the sender sees %s, want delivered", sent.State)
		}
	}
	ben.must("send", string(asks.whoami().Key), "please look", "--wait")
	eventually(t, "the session that asks its human is shown it", func() bool { return len(asks.shown.texts()) == 1 })
	// It comes behind the held ones, so that they have been passed over when it is shown.
	equal.must("send", string(held.whoami().Key), "from its equal", "--wait")
	asks.must("send", string(held.whoami().Key), "from one that asks", "--wait")
	equal.must("send", string(held.whoami().Key), "from its equal again", "--wait")
	eventually(t, "the session is shown what its equal wrote", func() bool { return len(held.shown.texts()) == 2 })

	notices := 0
	for _, n := range held.shown.list() {
		switch {
		case n.Meta["kind"] == "system" && n.Meta["event"] == "held":
			notices++
		case !strings.Contains(n.Content, "from its equal"):
			t.Errorf("it is shown %q", n.Content)
		}
		if strings.Contains(n.Content, "please") || strings.Contains(n.Content, "one that asks") {
			t.Errorf("a held text is in %q", n.Content)
		}
	}
	if notices != 1 {
		t.Errorf("%d notices of held messages, want 1", notices)
	}
	for _, args := range [][]string{{"inbox"}, {"inbox", "--json"}, {"message", "inbox", "--json"}} {
		if a := held.run(args...); strings.Contains(a.Out+a.Err, "please") || strings.Contains(a.Out, "one that asks") {
			t.Errorf("%v inside the session prints a held text:\n%s", args, a.Out)
		}
	}
	if got := held.follow(); slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "please") }) {
		t.Errorf("the events of the session have a held text: %q", got)
	}
	human := strings.Join(anna.texts(), "\n")
	for _, text := range []string{"please run one", "please run two", "please run three", "please look", "from one that asks"} {
		if !strings.Contains(human, text) {
			t.Errorf("outside of the session the inbox has not %q", text)
		}
	}
}

// Where nobody can be asked who a sender is, a session waits for its message, instead of being shown it without its text.
func TestSenderIsAskedAboutLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.pair()
	anna.must("send", string(ben.key()), "who am I?", "--wait") // ben has not looked who there is
	anna.broker().kill(t)
	s := ben.start(uuid.NewString())
	ben.eventually("has the session", func() bool { return s.whoami().Key != "" })
	anna.must("up")
	eventually(t, "the message is shown", func() bool { return len(s.shown.texts()) > 0 })
	if got := s.shown.texts(); !strings.HasSuffix(got[0], ": who am I?") {
		t.Errorf("shown is %q, want the text", got)
	}
}
