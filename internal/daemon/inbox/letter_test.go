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

// closed is a draft that did not open, and its letter.
func closed(id mesh.ClientID) (Draft, Letter) {
	d := draft(id)
	d.Body, d.NonceHash = nil, nil
	return d, Letter{
		MeshID: d.MeshID, Mesh: d.Mesh, Reason: DidNotOpen, ClientID: d.ClientID, BrokerID: d.BrokerID, From: d.From, To: d.To, Kind: d.Kind,
		Push: []byte("frame of " + string(id)),
	}
}

// bury puts one that did not open.
func bury(t testing.TB, b *Inbox, id mesh.ClientID) (Row, Letter) {
	t.Helper()
	d, l := closed(id)
	r, v, err := b.Letters().PutDead(context.Background(), d, l)
	if err != nil || v != New {
		t.Fatalf("put %s: verdict %d, %v; want new", id, v, err)
	}
	found, err := b.Letters().Find(context.Background(), All(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	return r, found
}

// opened is the same message once it opens.
func opened(id mesh.ClientID) Draft {
	d := draft(id)
	d.NonceHash = []byte("nonce of " + string(id))
	return d
}

func TestLetterKeepsItsFrame(t *testing.T) {
	t.Parallel()
	b := open(t)
	ctx := context.Background()
	row, l := bury(t, b, "one")
	if l.ID != row.ID || string(l.Push) != "frame of one" || l.Reason != DidNotOpen || l.From != draft("one").From {
		t.Errorf("got %+v, want what was put, under the id of its row", l)
	}
	d, again := closed("one")
	if _, v, err := b.Letters().PutDead(ctx, d, again); v != Duplicate || err != nil {
		t.Errorf("it came again: verdict %d, %v; want a duplicate", v, err)
	}
	for _, id := range []string{row.ID, "one", "broker-one"} {
		if _, err := b.Letters().Find(ctx, Only(first), id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if _, err := b.Letters().Find(ctx, Only(second), id); !mesh.IsCode(err, mesh.NotFound) {
			t.Errorf("%s, of another session: got %v, want %s", id, err, mesh.NotFound)
		}
	}
	if _, err := b.Letters().Find(ctx, All(), ""); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("no id: got %v, want %s", err, mesh.NotFound)
	}
	for slug, want := range map[string]int{"": 1, "a": 1, "b": 0} {
		list, err := b.Letters().List(ctx, Only(first), slug)
		if err != nil || len(list) != want {
			t.Errorf("mesh %q: %d letters, %v; want %d", slug, len(list), err, want)
		}
		if want == 1 && (list[0].Push == nil || len(list[0].Push) > 0) {
			t.Errorf("got the frame %q in a list, want only that there is one", list[0].Push)
		}
	}
	if err := b.RenameMesh(ctx, "meshA", "b"); err != nil {
		t.Fatal(err)
	}
	if list, err := b.Letters().List(ctx, All(), "b"); err != nil || len(list) != 1 {
		t.Errorf("%d letters under the new name, %v; want 1", len(list), err)
	}
}

// What opens comes like a message that has just arrived, under its id, once: to followers, to hosts, and never again.
func TestReopenShowsOnce(t *testing.T) {
	t.Parallel()
	b := open(t)
	ctx := context.Background()
	row, l := bury(t, b, "one")
	surface := Surface{ID: "s", Scope: Only(first)}
	if claimed, err := b.Claim(ctx, surface, 10, nil); err != nil || len(claimed) != 1 {
		t.Fatalf("%d claimed, %v; want the one that does not open", len(claimed), err)
	}
	changed := b.Changed()
	got, v, err := b.Letters().Reopen(ctx, l, opened("one"))
	if err != nil || v != New || got.ID != row.ID || got.Seq <= row.Seq {
		t.Fatalf("got %+v, verdict %d, %v; want the id of before behind everything", got, v, err)
	}
	select {
	case <-changed:
	default:
		t.Error("followers were not told")
	}
	p, err := b.List(ctx, Query{Scope: Only(first), KeepUnread: true})
	if err != nil || len(p.Rows) != 1 || p.Rows[0].Body == nil || p.Rows[0].Undecryptable || !p.Rows[0].Encrypted || !p.Rows[0].SeenAt.IsZero() {
		t.Errorf("got %+v, %v; want one unread message with its text", p.Rows, err)
	}
	for _, want := range []int{1, 0} {
		if claimed, err := b.Claim(ctx, surface, 10, nil); err != nil || len(claimed) != want {
			t.Errorf("%d offered, %v; want %d", len(claimed), err, want)
		}
	}
	if _, _, err := b.Letters().Reopen(ctx, l, opened("one")); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("opened twice: got %v, want %s", err, mesh.NotFound)
	}
	if _, v, err := b.Put(ctx, opened("one")); v != Duplicate || err != nil {
		t.Errorf("it came again: verdict %d, %v; want a duplicate", v, err)
	}
}

// A box that came by another way meanwhile is not shown a second time.
func TestReopenKnowsCopies(t *testing.T) {
	t.Parallel()
	b := open(t)
	_, l := bury(t, b, "one")
	copied := opened("one")
	copied.ClientID = "under-another-id"
	put(t, b, copied)
	if _, v, err := b.Letters().Reopen(context.Background(), l, opened("one")); v != Replayed || err != nil {
		t.Errorf("verdict %d, %v; want replayed", v, err)
	}
	if diff := cmp.Diff([]mesh.ClientID{"under-another-id"}, listed(t, b, All())); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}

// What turns out to be for another key of this machine is that key's, and copies of it stay known.
func TestReopenForAnotherKey(t *testing.T) {
	t.Parallel()
	b := open(t)
	ctx := context.Background()
	_, l := bury(t, b, "one")
	d := opened("one")
	d.To = second
	if _, v, err := b.Letters().Reopen(ctx, l, d); v != New || err != nil {
		t.Fatalf("verdict %d, %v; want new", v, err)
	}
	if got := listed(t, b, Only(first)); len(got) != 0 {
		t.Errorf("the key it came to lists %v, want nothing", got)
	}
	if diff := cmp.Diff([]mesh.ClientID{"one"}, listed(t, b, Only(second))); diff != "" {
		t.Errorf("the key it is for (-want +got):\n%s", diff)
	}
	again, letter := closed("one")
	if _, v, err := b.Letters().PutDead(ctx, again, letter); v != Duplicate || err != nil {
		t.Errorf("it came again as it was: verdict %d, %v; want a duplicate", v, err)
	}
}

func TestReopenProvesWhatWasShown(t *testing.T) {
	t.Parallel()
	b := open(t)
	ctx := context.Background()
	d := opened("one")
	_, l := closed("one")
	l.Reason = Unproved
	row, _, err := b.Letters().PutDead(ctx, d, l)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := b.MarkSeen(ctx, All(), []string{row.ID}, nil); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if l, err = b.Letters().Find(ctx, All(), row.ID); err != nil {
		t.Fatal(err)
	}
	d.From.Verified, d.From.Name = true, "alice of old"
	if _, v, err := b.Letters().Reopen(ctx, l, d); v != Duplicate || err != nil {
		t.Errorf("verdict %d, %v; want a duplicate", v, err)
	}
	got, err := b.Find(ctx, All(), row.ID)
	if err != nil || !got.Verified || got.SenderName != "alice of old" || got.SeenAt.IsZero() || got.Seq != row.Seq {
		t.Errorf("got %+v, %v; want the same row, verified and still read", got, err)
	}
}

func TestLettersAreBounded(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	b := openAt(t, filepath.Join(t.TempDir(), "inbox.db"), func() time.Time { return now })
	ctx := context.Background()
	keep := func(id string, from mesh.Key, push int) {
		t.Helper()
		now = now.Add(time.Millisecond)
		l := Letter{MeshID: "m", Mesh: "a", Reason: Blocked, BrokerID: mesh.ID(id), From: Author{Key: from}, To: me, Kind: Member, Push: make([]byte, push)}
		if err := b.Letters().Keep(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	keep("of-another", second, 1)
	for i := range maxSenderLetters + 1 {
		keep(fmt.Sprint(i), alice, maxPushBytes+i)
	}
	keep(fmt.Sprint(maxSenderLetters), alice, 1) // it is there
	list, err := b.Letters().List(ctx, All(), "")
	if err != nil || len(list) != maxSenderLetters+1 {
		t.Fatalf("%d letters, %v; want %d", len(list), err, maxSenderLetters+1)
	}
	if last := list[len(list)-2]; last.BrokerID != "1" || last.Push != nil || list[len(list)-1].BrokerID != "of-another" || list[len(list)-1].Push == nil {
		t.Errorf("the oldest are %+v and %+v; want 0 gone, large frames gone and another's letter kept", last, list[len(list)-1])
	}
	now = now.Add(keepRows + time.Second)
	if _, err := b.prune(ctx); err != nil {
		t.Fatal(err)
	}
	if list, err := b.Letters().List(ctx, All(), ""); err != nil || len(list) != 0 {
		t.Errorf("%d letters after 30 days, %v; want none", len(list), err)
	}
}

func TestForgettingTakesTheLetter(t *testing.T) {
	t.Parallel()
	b := open(t)
	ctx := context.Background()
	row, l := bury(t, b, "one")
	if _, err := b.Delete(ctx, All(), row.ID, nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Letters().Reopen(ctx, l, opened("one")); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("a deleted message is opened: got %v, want %s", err, mesh.NotFound)
	}
}

// A note of what has no row is deleted like a message by the human; a session's gate cannot be asked about it.
func TestNotesAreDeleted(t *testing.T) {
	t.Parallel()
	b := open(t)
	ctx := context.Background()
	all := func(Row) bool { return true }
	for _, id := range []mesh.ID{"one", "two", "three"} {
		l := Letter{MeshID: "m", Mesh: "a", Reason: Copied, BrokerID: id, From: Author{Key: alice}, To: first, Kind: Session}
		if err := b.Letters().Keep(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Delete(ctx, Only(first), "one", all); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("a session deleted a note: %v", err)
	}
	if _, err := b.Delete(ctx, Only(second), "one", nil); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("a note of another was deleted: %v", err)
	}
	if r, err := b.Delete(ctx, All(), "one", nil); err != nil || r.BrokerID != "one" {
		t.Errorf("got %+v, %v; want the note deleted", r, err)
	}
	for _, c := range []struct {
		flush Flush
		left  int
	}{
		{Flush{Scope: Only(first), Admit: all}, 2}, {Flush{Scope: All(), Mesh: "b"}, 2}, {Flush{Scope: Only(second)}, 2},
		{Flush{Scope: All(), Before: time.UnixMilli(1)}, 2}, {Flush{Scope: All(), Mesh: "a"}, 0},
	} {
		if n, err := b.Flush(ctx, c.flush); n != 0 || err != nil {
			t.Errorf("%+v: %d messages, %v; want none", c.flush, n, err)
		}
		if left, err := b.Letters().List(ctx, All(), ""); err != nil || len(left) != c.left {
			t.Errorf("%+v: %d notes are left, %v; want %d", c.flush, len(left), err, c.left)
		}
	}
}
