package inbox

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// claim takes rows for a surface that must be given.
func claim(t testing.TB, b *Inbox, s Surface, admit func(Row) bool) []Claimed {
	t.Helper()
	got, err := b.Claim(context.Background(), s, 100, admit)
	if err != nil {
		t.Fatalf("claim for %s: %v", s.ID, err)
	}
	return got
}

func claimedIDs(all []Claimed) []mesh.ClientID {
	out := []mesh.ClientID{}
	for _, c := range all {
		out = append(out, c.ClientID)
	}
	return out
}

func TestClaimGivesEachRowOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "inbox.db")
	b, err := Open(context.Background(), optionsAt(path, time.Now))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []mesh.ClientID{"one", "two", "three"} {
		put(t, b, draft(id))
	}
	s := Surface{ID: "s", Scope: Only(first, me), Since: time.Now()}
	two, err := b.Claim(context.Background(), s, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]mesh.ClientID{"one", "two"}, claimedIDs(two)); diff != "" {
		t.Errorf("first claim (-want +got):\n%s", diff)
	}
	if two[0].Attempt == two[1].Attempt || len(two[0].Attempt) != 64 || two[0].Body == nil {
		t.Errorf("attempts %q and %q, body %v", two[0].Attempt, two[1].Attempt, two[0].Body)
	}
	// The deliverer dies, and the daemon with it.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openAt(t, path, time.Now)
	if diff := cmp.Diff([]mesh.ClientID{"three"}, claimedIDs(claim(t, b, s, nil))); diff != "" {
		t.Errorf("claim after the crash (-want +got):\n%s", diff)
	}
	if n, err := b.Unread(context.Background(), s.Scope, ""); n != 3 || err != nil {
		t.Errorf("%d rows are unread, %v; want all 3 in the inbox", n, err)
	}
}

func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	b := open(t)
	ctx := context.Background()
	for _, id := range []mesh.ClientID{"one", "two", "three"} {
		put(t, b, draft(id))
	}
	got := claim(t, b, Surface{ID: "s", Scope: Only(first)}, nil)
	offered := func(surface, path string, want int, attempts ...string) {
		t.Helper()
		if n, err := b.Offered(ctx, surface, attempts, path); n != want || err != nil {
			t.Errorf("offered %d to %s, %v; want %d", n, surface, err, want)
		}
	}
	offered("other", "socket", 0, got[0].Attempt)
	offered("s", "socket", 1, got[0].Attempt, "unknown", got[0].Attempt)
	offered("s", "channel", 0, got[0].Attempt)
	unconfirmed := func(want int) {
		t.Helper()
		if n, err := b.Unconfirmed(ctx, "s"); n != want || err != nil {
			t.Errorf("%d unconfirmed, %v; want %d", n, err, want)
		}
	}
	unconfirmed(2)
	if err := b.Told(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	unconfirmed(2)
	if _, err := b.MarkSeen(ctx, All(), []string{got[2].ID}, nil); err != nil {
		t.Fatal(err)
	}
	unconfirmed(1) // who has read it need not be told
	if err := b.Told(ctx, "s"); err != nil {
		t.Fatal(err)
	}
	unconfirmed(0)
	offered("s", "channel", 1, got[1].Attempt) // late, and still true
	if more := claim(t, b, Surface{ID: "s", Scope: Only(first)}, nil); len(more) != 0 {
		t.Errorf("rows %v are given again", claimedIDs(more))
	}
	if _, err := b.Offered(ctx, "s", nil, "telepathy"); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("an unknown path: got %v, want %s", err, mesh.BadRequest)
	}
}

func TestClaimAsksTheGate(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, id := range []mesh.ClientID{"held-1", "one", "held-2", "two"} {
		put(t, b, draft(id))
	}
	s := Surface{ID: "s", Scope: Only(first)}
	gate := func(r Row) bool {
		if r.Body != nil {
			t.Errorf("the gate was given the body of %s", r.ClientID)
		}
		return r.ClientID[0] != 'h'
	}
	if diff := cmp.Diff([]mesh.ClientID{"one", "two"}, claimedIDs(claim(t, b, s, gate))); diff != "" {
		t.Errorf("past the gate (-want +got):\n%s", diff)
	}
	put(t, b, draft("three"))
	if diff := cmp.Diff([]mesh.ClientID{"three"}, claimedIDs(claim(t, b, s, gate))); diff != "" {
		t.Errorf("past held rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]mesh.ClientID{"held-1", "held-2"}, claimedIDs(claim(t, b, s, nil))); diff != "" {
		t.Errorf("when the gate opens (-want +got):\n%s", diff)
	}
}

// What comes to the member goes to every session that is there, and to one that comes later only if none was.
func TestClaimOfMemberRows(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	b := openAt(t, filepath.Join(t.TempDir(), "inbox.db"), func() time.Time { return now })
	toMember := func(id mesh.ClientID) {
		d := draft(id)
		d.To, d.Kind = me, Member
		put(t, b, d)
		now = now.Add(time.Minute)
	}
	toMember("early")
	one := Surface{ID: "one", Scope: Only(first, me), Since: now}
	two := Surface{ID: "two", Scope: Only(second, me), Since: now}
	toMember("both")
	late := Surface{ID: "late", Scope: Only(alice, me), Since: now}
	toMember("all")
	put(t, b, draft("to-first"))
	for _, c := range []struct {
		surface Surface
		want    []mesh.ClientID
	}{
		{one, []mesh.ClientID{"early", "both", "all", "to-first"}},
		{two, []mesh.ClientID{"both", "all"}},
		{late, []mesh.ClientID{"all"}},
	} {
		if diff := cmp.Diff(c.want, claimedIDs(claim(t, b, c.surface, nil))); diff != "" {
			t.Errorf("%s is given (-want +got):\n%s", c.surface.ID, diff)
		}
	}
}

// A session that comes back under another id of its host is not shown again what it was shown.
func TestClaimOfSessionRowsByAnotherID(t *testing.T) {
	t.Parallel()
	b := open(t)
	put(t, b, draft("one"))
	since := time.UnixMilli(0)
	claim(t, b, Surface{ID: "before", Scope: Only(first), Since: since}, nil)
	put(t, b, draft("two"))
	if diff := cmp.Diff([]mesh.ClientID{"two"}, claimedIDs(claim(t, b, Surface{ID: "after", Scope: Only(first), Since: since}, nil))); diff != "" {
		t.Errorf("given under the new id (-want +got):\n%s", diff)
	}
}

func TestClaimLeavesOldAndReadRows(t *testing.T) {
	t.Parallel()
	b := filled(t)
	row, err := b.Find(context.Background(), All(), "to-first")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.MarkSeen(context.Background(), All(), []string{row.ID}, nil); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, b, Surface{ID: "s", Scope: Only(first)}, nil); len(got) != 0 {
		t.Errorf("rows %v are given, want none", claimedIDs(got))
	}
	if got := claim(t, b, Surface{ID: "nobody"}, nil); len(got) != 0 {
		t.Errorf("rows %v are given to nobody", claimedIDs(got))
	}
}

// Two deliverers of one session, as around a reconnect, never get the same row.
func TestClaimByTwo(t *testing.T) {
	t.Parallel()
	b := open(t)
	for i := range 50 {
		put(t, b, draft(mesh.ClientID(fmt.Sprintf("m-%02d", i))))
	}
	s := Surface{ID: "s", Scope: Only(first)}
	var mu sync.Mutex
	seen := map[mesh.ClientID]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 30 {
				got, err := b.Claim(context.Background(), s, 3, nil)
				if err != nil {
					t.Errorf("claim: %v", err)
				}
				mu.Lock()
				for _, c := range got {
					seen[c.ClientID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 50 {
		t.Errorf("%d rows were given, want 50", len(seen))
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was given %d times", id, n)
		}
	}
}

func TestClaimRefuses(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, s := range []Surface{{}, {ID: "s"}} {
		limit := 0
		if s.ID == "" {
			limit = 1
		}
		if _, err := b.Claim(context.Background(), s, limit, nil); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("surface %q, limit %d: got %v, want %s", s.ID, limit, err, mesh.BadRequest)
		}
	}
}

// A session that gets another key finds what came to it before, although it has read past that.
func TestClaimWithMoreKeys(t *testing.T) {
	t.Parallel()
	b := open(t)
	d := draft("to-second")
	d.To = second
	put(t, b, d)
	put(t, b, draft("to-first"))
	for _, c := range []struct {
		keys []mesh.Key
		want []mesh.ClientID
	}{
		{[]mesh.Key{first}, []mesh.ClientID{"to-first"}},
		{[]mesh.Key{first}, []mesh.ClientID{}},
		{[]mesh.Key{first, second}, []mesh.ClientID{"to-second"}},
	} {
		if diff := cmp.Diff(c.want, claimedIDs(claim(t, b, Surface{ID: "s", Scope: Only(c.keys...)}, nil))); diff != "" {
			t.Errorf("with %d keys (-want +got):\n%s", len(c.keys), diff)
		}
	}
}

// Pages of a claim leave nothing out, with held rows among them.
func TestClaimInPages(t *testing.T) {
	t.Parallel()
	b := open(t)
	var want []mesh.ClientID
	for i := range 20 {
		id := mesh.ClientID(fmt.Sprintf("m-%02d", i))
		put(t, b, draft(id))
		if i%3 != 0 {
			want = append(want, id)
		}
	}
	s := Surface{ID: "s", Scope: Only(first)}
	page := func(admit func(Row) bool) []mesh.ClientID {
		t.Helper()
		got, err := b.Claim(context.Background(), s, 4, admit)
		if err != nil {
			t.Fatal(err)
		}
		return claimedIDs(got)
	}
	var got []mesh.ClientID
	for range 5 {
		got = append(got, page(func(r Row) bool { return r.Seq%3 != 1 })...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("past the gate (-want +got):\n%s", diff)
	}
	held := append(page(nil), page(nil)...)
	if diff := cmp.Diff([]mesh.ClientID{"m-00", "m-03", "m-06", "m-09", "m-12", "m-15", "m-18"}, held); diff != "" {
		t.Errorf("held rows (-want +got):\n%s", diff)
	}
}
