package inbox

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/claudemesh/claudemesh/internal/daemon/pathway"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// offeringTest is an inbox with a clock and one session, on the paths of which a test moves messages.
type offeringTest struct {
	*testing.T
	b   *Inbox
	s   Surface
	now time.Time
}

func newOfferingTest(t *testing.T, ids ...mesh.ClientID) *offeringTest {
	t.Helper()
	o := &offeringTest{T: t, s: Surface{ID: "s", Scope: Only(first)}, now: time.UnixMilli(1_800_000_000_000)}
	o.b = openAt(t, t.TempDir()+"/inbox.db", func() time.Time { return o.now })
	for _, id := range ids {
		put(t, o.b, draft(id))
	}
	return o
}

// by claims what a path may show, a second later, and wants these messages.
func (o *offeringTest) by(path string, want ...mesh.ClientID) (attempts []string) {
	o.Helper()
	o.now = o.now.Add(time.Second)
	o.s.Path = path
	got := claim(o.T, o.b, o.s, nil)
	if diff := cmp.Diff(want, claimedIDs(got), cmpopts.EquateEmpty()); diff != "" {
		o.Errorf("by %s (-want +got):\n%s", path, diff)
	}
	for _, c := range got {
		attempts = append(attempts, c.Attempt)
	}
	return attempts
}

func (o *offeringTest) offered(path string, attempts []string) {
	o.Helper()
	if n, err := o.b.Offered(context.Background(), "s", attempts, path); n != len(attempts) || err != nil {
		o.Errorf("offered %d by %s, %v; want %d", n, path, err, len(attempts))
	}
}

// lapse ends a turn that began just now, where nothing is proved of these paths.
func (o *offeringTest) lapse(untried, want []string) {
	o.Helper()
	o.now = o.now.Add(time.Second)
	got, err := OfferingsOf(o.b).Lapse(context.Background(), "s", o.now, time.Time{}, untried)
	if err != nil {
		o.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		o.Errorf("lapsed, of %q (-want +got):\n%s", untried, diff)
	}
}

// What a path did not show is offered by the next ones, by each once, and a late proof of an earlier one counts.
func TestTheNextPath(t *testing.T) {
	t.Parallel()
	o := newOfferingTest(t, "one", "two")
	socket := o.by("socket", "one", "two")
	o.offered("socket", socket)
	paths, err := NoticesOf(o.b).Surfaced(t.Context(), "s", socket[1:])
	if diff := cmp.Diff([]string{"socket"}, paths); diff != "" || err != nil {
		t.Errorf("proved (-want +got), %v:\n%s", err, diff)
	}
	o.by("hook")
	o.lapse([]string{"channel"}, nil) // what is proved of a path is believed
	o.by("hook")

	put(t, o.b, draft("three"))
	o.offered("channel", o.by("channel", "three"))
	o.lapse([]string{"channel", "hook"}, []string{"channel"})
	o.by("channel")
	hook := o.by("hook", "three")
	o.offered("hook", hook)
	o.by("hook")
	o.lapse([]string{"channel", "hook"}, []string{"hook"})
	o.by("hook")
	o.by("channel")
	o.offered("tool", o.by("tool", "three"))
	if paths, err := NoticesOf(o.b).Surfaced(t.Context(), "s", hook); len(paths) != 1 || paths[0] != "hook" || err != nil {
		t.Errorf("a late proof: got %q, %v, want that of the hook", paths, err)
	}
	o.lapse([]string{"channel", "tool"}, nil)
	records, err := OfferingsOf(o.b).Records(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	want := []pathway.Record{{Path: "socket", Offered: 2, Surfaced: 1}, {Path: "tool", Offered: 1, Surfaced: 1}}
	if diff := cmp.Diff(want, records, cmpopts.IgnoreFields(pathway.Record{}, "First", "Last")); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// A claim that was certainly not written is as if it had never been made.
func TestReturn(t *testing.T) {
	t.Parallel()
	o := newOfferingTest(t, "one", "two")
	attempts := o.by("socket", "one", "two")
	o.offered("socket", attempts[:1])
	for _, tt := range []struct {
		surface string
		want    int
	}{{"other", 0}, {"s", 1}, {"s", 0}} {
		if n, err := OfferingsOf(o.b).Return(t.Context(), tt.surface, append(attempts, "unknown")); n != tt.want || err != nil {
			t.Errorf("%s: returned %d, %v, want %d", tt.surface, n, err, tt.want)
		}
	}
	second := o.by("socket", "two")
	o.offered("socket", second)
	o.lapse([]string{"socket"}, []string{"socket", "socket"})
	hook := o.by("hook", "one", "two")
	if n, err := OfferingsOf(o.b).Return(t.Context(), "s", hook); n != 2 || err != nil {
		t.Errorf("returned %d, %v, want both", n, err)
	}
	o.by("socket")
	o.by("tool", "one", "two")
}

// How many are on their way is bounded by what can still be proved; what was only announced is not read by that.
func TestOutstanding(t *testing.T) {
	t.Parallel()
	o := newOfferingTest(t, "one", "two", "three")
	offers := OfferingsOf(o.b)
	outstanding := func(want int) {
		t.Helper()
		if n, err := offers.Outstanding(t.Context(), "s"); n != want || err != nil {
			t.Errorf("%d are on their way, %v, want %d", n, err, want)
		}
	}
	left := func(want ...mesh.ClientID) {
		t.Helper()
		rows, err := offers.Left(t.Context(), o.s, 10, func(Row) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		var got []mesh.ClientID
		for _, r := range rows {
			got = append(got, r.ClientID)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("unread (-want +got):\n%s", diff)
		}
	}
	if rows, err := offers.Waiting(t.Context(), o.s, 2, nil); len(rows) != 2 || err != nil {
		t.Errorf("%d wait, %v, want the first two", len(rows), err)
	}
	attempts := o.by("socket", "one", "two", "three")
	outstanding(3)
	if err := offers.Partly(t.Context(), "s", attempts[:1]); err != nil {
		t.Fatal(err)
	}
	o.offered("socket", attempts)
	if paths, err := NoticesOf(o.b).Surfaced(t.Context(), "s", attempts[:2]); len(paths) != 1 || err != nil {
		t.Errorf("proved %q, %v, want one: the other was only announced", paths, err)
	}
	outstanding(1)
	left("one")
	o.lapse(nil, nil)
	outstanding(0)
	left("one", "three")
}
