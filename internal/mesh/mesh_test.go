package mesh

import (
	"testing"
	"time"
)

func TestParsePriority(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Priority{"": Next, "now": Now, "next": Next, "low": Low} {
		if got, err := ParsePriority(s); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", s, got, err, want)
		}
	}
	for _, s := range []string{"NOW", "urgent", " low"} {
		if got, err := ParsePriority(s); got != "" || !IsCode(err, BadRequest) {
			t.Errorf("%q: got %q, %v, want %s", s, got, err, BadRequest)
		}
	}
}

// Who works or wants quiet is pushed what is urgent, and no more (wire 5).
func TestStatusAdmits(t *testing.T) {
	t.Parallel()
	for _, s := range []Status{Idle, "", Working, DND, "of_next_year"} {
		for _, p := range []Priority{Now, Next, Low} {
			want := s == Idle || s == "" || p == Now
			if got := s.Admits(p); got != want {
				t.Errorf("status %q, priority %s: got %v, want %v", s, p, got, want)
			}
		}
	}
}

func TestStatesHaveAnOrder(t *testing.T) {
	t.Parallel()
	order := []State{"", StateQueued, StateAccepted, StateDelivered, StateSurfaced, StateAcknowledged}
	for i, s := range order {
		if s.Failed() || s.Known() != (i > 0) {
			t.Errorf("%q: got failed %v, known %v", s, s.Failed(), s.Known())
		}
		for j, other := range order {
			if got, want := s.Reached(other), i >= j; got != want {
				t.Errorf("%q reached %q: got %v, want %v", s, other, got, want)
			}
			if got, want := s.Later(other), order[max(i, j)]; got != want {
				t.Errorf("%q, then %q: got %q, want %q", s, other, got, want)
			}
		}
		for _, end := range []State{StateExpired, StateRejected} {
			if s.Reached(end) || end.Reached(s) {
				t.Errorf("%q and %q reach each other, want that neither does", s, end)
			}
			if s.Later(end) != end || end.Later(s) != end {
				t.Errorf("%q with %q: want that the failure is final", s, end)
			}
		}
	}
	if !StateExpired.Failed() || !StateRejected.Known() || !StateExpired.Reached(StateExpired) || StateExpired.Reached(StateRejected) {
		t.Error("a failure is known, and has reached itself and nothing else")
	}
	if StateExpired.Later(StateRejected) != StateExpired || State("of_next_year").Known() {
		t.Error("the first failure stays; other words are no states")
	}
}

func TestFormatTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 6, 4, 12, 30, 0, 5_999_999, time.FixedZone("x", 2*60*60))
	if got, want := FormatTime(at), "2025-06-04T10:30:00.005Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := FormatTime(time.Time{}); got != "" {
		t.Errorf("zero time: got %q, want nothing", got)
	}
	back, err := time.Parse(TimeFormat, FormatTime(at))
	if err != nil || !back.Equal(at.Truncate(time.Millisecond)) {
		t.Errorf("got %v, %v, want the time back", back, err)
	}
}
