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

// The whole rank table (wire 7): each status and source that stands, fresh and stale, against each that is said.
func TestRankTable(t *testing.T) {
	t.Parallel()
	statuses, sources := []mesh.Status{mesh.Idle, mesh.Working, mesh.DND}, []Source{Transcript, Manual, Hook}
	for _, was := range statuses {
		for _, from := range sources {
			if was == mesh.DND && from != Manual {
				continue // it is always the user's word: TestDoNotDisturbIsTheUsersWord
			}
			for _, says := range statuses {
				for _, src := range sources {
					for _, age := range []time.Duration{0, fresh, stale, time.Hour} {
						before, now := Mood{was, from, noon}, noon.Add(age)
						want := Mood{says, src, now}
						switch isFresh := age <= fresh; {
						case says == mesh.DND: // anybody passes it on; it is the user's
							want.Source = Manual
							if was == mesh.DND {
								want.Source = Manual
							}
						case was == mesh.DND && src != Manual: // only the user ends it
							want = before
						case was == mesh.DND:
						case src >= from || !isFresh:
						case says == was:
							want.Source = from
						default:
							want = before
						}
						if got := rules.Write(before, says, src, now); got != want {
							t.Errorf("%s by %d, then after %v %s by %d: got %+v, want %+v", was, from, age, says, src, got, want)
						}
					}
				}
			}
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
