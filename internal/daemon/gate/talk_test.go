package gate

import (
	"fmt"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// limits are those of the settings' defaults.
var limits = Limits{Minute: 10, Hour: 20, HourTokens: 50_000, SessionHour: 100, Alternating: 6}

// scene is a session to which others write.
type scene struct {
	t     *testing.T
	talks Talks
	now   time.Time
	to    Session
}

func newScene(t *testing.T, l Limits) *scene {
	return &scene{t: t, now: time.Unix(1_700_000_000, 0), to: Session{Rules: host.Rules{Mode: host.Default}, Wakes: l}}
}

// comes tells how a message of a member's is judged, and gives it to the session where it may be shown.
func (s *scene) comes(from mesh.Key, sizeBytes int) Verdict {
	m := Message{Opened: true, Known: true, Talk: func() Talk { return s.talks.Of("s", from, s.now) }}
	verdict, _ := Decide(s.to, m, Push)
	if verdict == Show {
		s.talks.Pushed("s", from, sizeBytes, s.now)
	}
	return verdict
}

// woken counts how many of n messages wake the session, after each of which it answers where it is to.
func (s *scene) woken(n int, from mesh.Key, every time.Duration, answers bool) int {
	count := 0
	for range n {
		if s.comes(from, 100) == Show {
			count++
			if answers {
				s.talks.Said("s", from, s.now)
			}
		}
		s.now = s.now.Add(every)
	}
	return count
}

// Two sessions that answer each other come to rest after six messages, by what the receiver itself sees, and begin anew when
// its human has spoken or an hour has passed.
func TestLoopOfTwoEnds(t *testing.T) {
	t.Parallel()
	s := newScene(t, limits)
	if got := s.woken(50, "a", 0, true); got != 3 {
		t.Errorf("woken %d times, want 3: with the answers that is six messages", got)
	}
	if got := s.comes("b", 10); got != Show {
		t.Errorf("another sender: got %d, want it shown", got)
	}
	s.talks.Human("s", s.now)
	if got := s.woken(50, "a", 0, true); got != 3 {
		t.Errorf("after its human spoke: woken %d times, want 3", got)
	}
	s.now = s.now.Add(time.Hour)
	if got := s.woken(50, "a", 0, true); got != 3 {
		t.Errorf("an hour later: woken %d times, want 3", got)
	}
}

func TestAnswersToEverybodyAreTurns(t *testing.T) {
	t.Parallel()
	s := newScene(t, limits)
	got := 0
	for range 10 {
		if s.comes("a", 10) == Show {
			got++
		}
		s.talks.Said("s", "", s.now)
	}
	if got != 3 {
		t.Errorf("woken %d times, want 3: the session answers to a group", got)
	}
}

func TestWakingHasLimits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		limits Limits
		every  time.Duration
		want   int
	}{
		"a minute":            {limits, 0, 10},
		"an hour":             {limits, 10 * time.Second, 20},
		"an hour has passed":  {limits, 2 * time.Minute, 60 * 20 / 30},
		"no limit":            {Limits{}, 0, 60},
		"the session":         {Limits{SessionHour: 7}, time.Second, 7},
		"tokens":              {Limits{HourTokens: 100}, time.Second, 4}, // 25 each
		"turns need answers":  {Limits{Alternating: 2}, time.Second, 60},
		"one is one too many": {Limits{Minute: 1}, 0, 1},
	} {
		if got := newScene(t, tt.limits).woken(60, "a", tt.every, false); got != tt.want {
			t.Errorf("%s: woken %d times, want %d", name, got, tt.want)
		}
	}
}

// What does not wake is not lost, and what stops a loop stops nothing else.
func TestWhatWaitsIsThereToBeRead(t *testing.T) {
	t.Parallel()
	many := func() Talk { return Talk{Hour: 1000, Alternating: 1000} }
	member := Message{Opened: true, Known: true, Talk: many}
	ask := Session{Rules: host.Rules{Mode: host.Default}, Wakes: limits}
	if v, r := Decide(ask, member, Push); v != Wait || r != Loop {
		t.Errorf("pushed: got %d %q, want it to wait", v, r)
	}
	if v, _ := Decide(ask, member, Pull); v != Show {
		t.Errorf("asked for: got %d, want it shown", v)
	}
	self, released := member, member
	self.Self, released.Released = true, true
	for name, m := range map[string]Message{"the user's own": self, "let through by the human": released} {
		if v, _ := Decide(ask, m, Push); v != Show {
			t.Errorf("%s: got %d, want it shown", name, v)
		}
	}
	alone := Session{Rules: host.Rules{Mode: host.Bypass}, Wakes: limits}
	if v, r := Decide(alone, member, Push); v != Hold || r != Unattended {
		t.Errorf("of a session that acts alone: got %d %q, want it held", v, r)
	}
}

// What the human stopped is held on every way, from everybody, and what the human let through is shown where the host allows
// it.
func TestDecisionsOfTheHuman(t *testing.T) {
	t.Parallel()
	stranger := Message{}
	for name, tt := range map[string]struct {
		rules   host.Rules
		message Message
		verdict Verdict
		reason  Reason
	}{
		"paused":                      {host.Rules{Mode: host.Default}, Message{Opened: true, Known: true, Paused: true}, Hold, Paused},
		"paused and trusted":          {host.Rules{Mode: host.Bypass}, Message{Verified: true, Unattended: true, Paused: true}, Hold, Paused},
		"paused, an own session":      {host.Rules{Mode: host.Bypass}, Message{Opened: true, Own: host.Bypass, Paused: true}, Hold, Paused},
		"released and paused":         {host.Rules{Mode: host.Default}, Message{Released: true, Paused: true}, Hold, Paused},
		"released to one in bypass":   {host.Rules{Mode: host.Bypass}, Message{Released: true}, Show, None},
		"released, of a stranger":     {host.Rules{Mode: host.Default}, Message{Released: true}, Show, None},
		"released, the host holds":    {host.Rules{Mode: host.Default, Inbound: host.Held}, Message{Released: true}, Hold, HostHolds},
		"released, the host refuses":  {host.Rules{Mode: host.Default, Inbound: host.Refuse}, Message{Released: true}, Hold, HostRefuses},
		"neither":                     {host.Rules{Mode: host.Default}, stranger, HeaderOnly, Unproved},
		"neither, to one in bypass":   {host.Rules{Mode: host.Bypass}, stranger, Hold, Unattended},
		"neither, to one unreadable":  {host.Rules{}, stranger, Hold, Unattended},
		"neither, and the host holds": {host.Rules{Mode: host.Bypass, Inbound: host.Held}, stranger, Hold, HostHolds},
		"paused and muted":            {host.Rules{Mode: host.Default}, Message{Opened: true, Known: true, Paused: true, Muted: true}, Hold, Paused},
		"muted, and the host refuses": {host.Rules{Mode: host.Default, Inbound: host.Refuse}, Message{Muted: true}, Hold, HostRefuses},
		"muted, and let through":      {host.Rules{Mode: host.Bypass}, Message{Muted: true, Released: true}, Show, None},
	} {
		for _, way := range []Way{Push, Pull} {
			if v, r := Decide(Session{Rules: tt.rules, Wakes: limits}, tt.message, way); v != tt.verdict || r != tt.reason {
				t.Errorf("%s, way %d: got %d %q, want %d %q", name, way, v, r, tt.verdict, tt.reason)
			}
		}
	}
}

func TestTalksAreBounded(t *testing.T) {
	t.Parallel()
	var talks Talks
	at := time.Unix(1_700_000_000, 0)
	for i := range maxShown + 10 {
		talks.Pushed("s", "a", 1, at.Add(time.Duration(i)*time.Millisecond))
	}
	if got := talks.Of("s", "a", at.Add(time.Minute)).Hour; got != maxShown {
		t.Errorf("%d messages are remembered, want %d", got, maxShown)
	}
	for i := range 100 {
		talks.Said(fmt.Sprint(i), "a", at)
	}
	talks.Said("last", "a", at.Add(2*time.Hour))
	if len(talks.sessions) != 1 {
		t.Errorf("%d sessions are remembered after two hours, want 1", len(talks.sessions))
	}
}

// What is muted never comes by itself, from whomever and to whatever session, and nothing is said of it; a session that asks is
// given what it would be given without.
func TestMutedComesOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mode    host.Mode
		message Message
		asked   Verdict
	}{
		"a member":                 {host.Default, Message{Opened: true, Known: true}, Show},
		"a stranger":               {host.Default, Message{}, HeaderOnly},
		"the user itself":          {host.Default, Message{Opened: true, Known: true, Self: true}, Show},
		"an own session":           {host.Bypass, Message{Opened: true, Own: host.Bypass}, Show},
		"trusted with it":          {host.Bypass, Message{Verified: true, Unattended: true}, Show},
		"a member, to one that is": {host.Bypass, Message{Opened: true, Known: true}, Hold},
	} {
		to := Session{Rules: host.Rules{Mode: tt.mode}, Wakes: limits}
		tt.message.Muted = true
		v, r := Decide(to, tt.message, Push)
		if v != Wait || r != Muted {
			t.Errorf("%s, by itself: got %d %q, want it to wait, muted", name, v, r)
		}
		if kind, text := Notice(r); kind+text != "" {
			t.Errorf("%s: the session is told %q, want nothing", name, text)
		}
		if v, _ := Decide(to, tt.message, Pull); v != tt.asked {
			t.Errorf("%s, asked for: got %d, want %d", name, v, tt.asked)
		}
	}
}

// What was pushed before a restart counts, once, for the hour in which it was.
func TestTalksRecall(t *testing.T) {
	t.Parallel()
	var talks Talks
	now := time.Unix(1_700_000_000, 0)
	if talks.Recalled("s", now) {
		t.Error("what was before is known without having been told")
	}
	past := []Past{{"a", now.Add(-2 * time.Hour), 40}, {"a", now.Add(-50 * time.Minute), 80}, {"b", now.Add(-10 * time.Second), 4}, {"a", now.Add(-time.Second), 400}}
	for range 2 {
		talks.Recall("s", past, now)
	}
	talks.Pushed("s", "a", 4, now)
	if got, want := talks.Of("s", "a", now), (Talk{Minute: 2, Hour: 3, HourTokens: 121, SessionHour: 4}); got != want || !talks.Recalled("s", now) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := talks.Of("s", "a", now.Add(11*time.Minute)), (Talk{Hour: 2, HourTokens: 101, SessionHour: 3}); got != want {
		t.Errorf("eleven minutes later: got %+v, want %+v", got, want)
	}
}
