package inbox

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// due lists what is to be told, as client id and state.
func due(t testing.TB, b *Inbox) []string {
	t.Helper()
	out := []string{}
	for after := (Notice{}); ; {
		page, err := NoticesOf(b).DueIn(context.Background(), "meshA", after, 1)
		if err != nil {
			t.Fatalf("due: %v", err)
		}
		if len(page) == 0 {
			return out
		}
		after = page[0]
		out = append(out, fmt.Sprintf("%s %s", after.ClientID, after.State))
	}
}

func TestSurfaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "inbox.db")
	b, err := Open(context.Background(), optionsAt(path, time.Now))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	put(t, b, draft("one"))
	member := draft("two")
	member.To, member.Kind = me, Member
	put(t, b, member)
	s := Surface{ID: "s", Scope: Only(first, me), Since: time.Now().Add(-time.Hour)}
	got := claim(t, b, s, nil)
	marked := func(surface string, want int, attempts ...string) {
		t.Helper()
		if n, err := NoticesOf(b).Surfaced(ctx, surface, attempts); len(n) != want || err != nil {
			t.Errorf("surfaced at %s: got %q, %v, want %d", surface, n, err, want)
		}
	}
	more := NoticesOf(b).ToTell()
	marked("other", 0, got[0].Attempt, got[1].Attempt)
	marked("s", 0, "", "unknown")
	select {
	case <-more:
		t.Error("there is more to tell, want nothing without a proof")
	default:
	}
	marked("s", 2, got[0].Attempt, got[1].Attempt, got[0].Attempt)
	marked("s", 0, got[0].Attempt)
	select {
	case <-more:
	default:
		t.Error("nobody was told that there is more to tell")
	}
	if n, err := b.Unconfirmed(ctx, "s"); n != 0 || err != nil {
		t.Errorf("got %d unconfirmed, %v, want none: what was shown was offered", n, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openAt(t, path, time.Now)
	if diff := cmp.Diff([]string{"one surfaced", "two surfaced"}, due(t, b)); diff != "" {
		t.Errorf("to be told after a restart (-want +got):\n%s", diff)
	}
	for id, read := range map[string]bool{"one": true, "two": false} { // other sessions of the member have not seen it
		if r, err := b.Find(ctx, All(), id); err != nil || r.SeenAt.IsZero() == read {
			t.Errorf("%s: got %+v, %v, want read %t", id, r.SeenAt, err, read)
		}
	}
	for session, want := range map[string]int{"s": 0, "other": 1, "": 1} {
		if n, err := b.Unread(ctx, Only(first, me), session); n != want || err != nil {
			t.Errorf("session %q: got %d unread, %v, want %d", session, n, err, want)
		}
		if p, err := b.List(ctx, Query{Scope: Only(first, me), Session: session, UnreadOnly: true, KeepUnread: true}); len(p.Rows) != want || err != nil {
			t.Errorf("session %q: got %d unread rows, %v, want %d", session, len(p.Rows), err, want)
		}
		p, err := b.List(ctx, Query{Scope: Only(first, me), Session: session, KeepUnread: true})
		if err != nil || len(p.Rows) != 2 || p.Rows[0].SeenAt.IsZero() != (want == 1) || p.Rows[1].SeenAt.IsZero() {
			t.Errorf("session %q: got %+v, %v, want %d of them unread", session, p.Rows, err, want)
		}
	}
	if _, err := NoticesOf(b).Surfaced(ctx, "s", make([]string, maxLimit+1)); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("too many at once: got %v, want %s", err, mesh.BadRequest)
	}
}

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	b := open(t)
	ctx := context.Background()
	one, two := put(t, b, draft("one")), put(t, b, draft("two"))
	acknowledge := func(r Row, reply bool) {
		t.Helper()
		if err := NoticesOf(b).Acknowledge(ctx, r.Seq, reply); err != nil {
			t.Fatal(err)
		}
	}
	settle := func(r Row, fate Fate) {
		t.Helper()
		if err := NoticesOf(b).Settle(ctx, Notice{Row: r, State: mesh.StateAcknowledged, Fate: fate}); err != nil {
			t.Fatal(err)
		}
	}
	acknowledge(one, false)
	acknowledge(two, false)
	settle(one, Withheld)
	settle(two, Told)
	settle(two, Withheld) // it is over
	if diff := cmp.Diff([]string{}, due(t, b)); diff != "" {
		t.Errorf("after it was settled (-want +got):\n%s", diff)
	}
	acknowledge(one, false)
	acknowledge(two, false)
	if diff := cmp.Diff([]string{"one acknowledged"}, due(t, b)); diff != "" {
		t.Errorf("acknowledged again (-want +got):\n%s", diff)
	}
	settle(one, Withheld)
	acknowledge(one, true)
	acknowledge(two, true)
	if diff := cmp.Diff([]string{"one acknowledged"}, due(t, b)); diff != "" {
		t.Errorf("after a reply (-want +got):\n%s", diff)
	}
	for r, want := range map[int64]Fate{one.Seq: Due, two.Seq: Told} {
		if got, err := NoticesOf(b).Of(ctx, r); err != nil || len(got) != 1 || got[0].Fate != want {
			t.Errorf("row %d: got %+v, %v, want the fate %q", r, got, err, want)
		}
	}
	if n, err := b.Unread(ctx, All(), ""); n != 0 || err != nil {
		t.Errorf("got %d unread, %v, want none", n, err)
	}
}
