package presence

import (
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

var (
	noon  = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	rules = Rules{Fresh: 30 * time.Second, TTL: time.Minute}
)

const (
	fresh = 30 * time.Second // the last moment at which a status stands
	stale = fresh + time.Millisecond
)

// said is one line of the rank table: what stands, and what is said after a time.
type said struct {
	was    mesh.Status
	from   Source
	status mesh.Status
	src    Source
	age    time.Duration
}

// table lists every status and source that can stand against each that can be said, at times before and after the end
// of the freshness.
func table() (all []said) {
	statuses, sources := []mesh.Status{mesh.Idle, mesh.Working, mesh.DND}, []Source{Transcript, Manual, Hook}
	for n := range 3 * 3 * 3 * 3 * 4 {
		digit := func(base int) int { d := n % base; n /= base; return d }
		s := said{statuses[digit(3)], sources[digit(3)], statuses[digit(3)], sources[digit(3)], []time.Duration{0, fresh, stale, time.Hour}[digit(4)]}
		if s.was != mesh.DND || s.from == Manual { // do not disturb is always the user's word
			all = append(all, s)
		}
	}
	return all
}

// want is what the status becomes, by the table of wire 7.
func (s said) want(before Mood, now time.Time) Mood {
	spoken := Mood{s.status, s.src, now}
	switch lower := s.src < s.from && s.age <= fresh; {
	case s.status == mesh.DND: // anybody passes it on; it is the user's
		return Mood{mesh.DND, Manual, now}
	case s.was == mesh.DND && s.src != Manual: // only the user ends it
		return before
	case s.was == mesh.DND || !lower:
		return spoken
	case s.status == s.was:
		return Mood{s.status, s.from, now}
	}
	return before
}

func TestLesson234RankTable(t *testing.T) {
	t.Parallel()
	lines := table()
	if want := (2*3 + 1) * 3 * 3 * 4; len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	for _, s := range lines {
		before, now := Mood{s.was, s.from, noon}, noon.Add(s.age)
		if got, want := rules.Write(before, s.status, s.src, now), s.want(before, now); got != want {
			t.Errorf("%+v: got %+v, want %+v", s, got, want)
		}
	}
}

func TestDoNotDisturbIsTheUsersWord(t *testing.T) {
	t.Parallel()
	m := rules.Write(Mood{mesh.Working, Hook, noon}, mesh.DND, Transcript, noon)
	if m != (Mood{mesh.DND, Manual, noon}) {
		t.Errorf("got %+v, want it as the user's", m)
	}
	for _, src := range []Source{Transcript, Hook} {
		for _, s := range []mesh.Status{mesh.Idle, mesh.Working} {
			if got := rules.Write(m, s, src, noon.Add(24*time.Hour)); got != m {
				t.Errorf("%s by %d ended it: %+v", s, src, got)
			}
		}
	}
	if got := rules.Decay(m, noon.Add(24*time.Hour)); got != m {
		t.Errorf("it ended by itself: %+v", got)
	}
	if got := rules.Write(m, mesh.Idle, Manual, noon); got.Status != mesh.Idle {
		t.Errorf("the user could not end it: %+v", got)
	}
}

func TestWorkingEndsWhenNobodySaysSo(t *testing.T) {
	t.Parallel()
	for _, src := range []Source{Transcript, Manual, Hook} {
		m := Mood{mesh.Working, src, noon}
		if got := rules.Decay(m, noon.Add(time.Minute-time.Millisecond)); got != m {
			t.Errorf("by %d: it ended early: %+v", src, got)
		}
		at := noon.Add(time.Minute)
		if got := rules.Decay(m, at); got != (Mood{mesh.Idle, Transcript, at}) {
			t.Errorf("by %d: got %+v, want idle", src, got)
		}
	}
	if m := (Mood{mesh.Idle, Hook, noon}); rules.Decay(m, noon.Add(time.Hour)) != m {
		t.Error("idle decayed")
	}
}

// A clock that was set back makes nothing fresh for ever.
func TestStatusOfTheFutureIsStale(t *testing.T) {
	t.Parallel()
	m := Mood{mesh.Working, Hook, noon.Add(time.Hour)}
	if got := rules.Write(m, mesh.Idle, Transcript, noon); got.Status != mesh.Idle {
		t.Errorf("got %+v, want idle", got)
	}
}

func TestWordsAreChecked(t *testing.T) {
	t.Parallel()
	if _, err := ParseStatus("away"); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("got %v, want bad_request", err)
	}
	if _, err := ParseSource("guess"); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("got %v, want bad_request", err)
	}
	if src, err := ParseSource(""); src != Manual || err != nil {
		t.Errorf("got %v, %v, want manual", src, err)
	}
}
