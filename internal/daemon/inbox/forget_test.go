package inbox

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// listed are the client ids that a scope sees, newest first.
func listed(t *testing.T, b *Inbox, s Scope) []mesh.ClientID {
	t.Helper()
	p, err := b.List(context.Background(), Query{Scope: s, KeepUnread: true})
	if err != nil {
		t.Fatal(err)
	}
	return ids(p.Rows)
}

func TestCLILesson129FlushNarrows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flush Flush
		gone  int
		left  []mesh.ClientID
	}{
		"nobody":          {Flush{}, 0, []mesh.ClientID{"other-mesh", "to-second", "new", "old"}},
		"all":             {Flush{Scope: All()}, 4, []mesh.ClientID{}},
		"before":          {Flush{Scope: All(), Before: time.UnixMilli(1_700_000_001_000)}, 1, []mesh.ClientID{"other-mesh", "to-second", "new"}},
		"mesh":            {Flush{Scope: All(), Mesh: "b"}, 1, []mesh.ClientID{"to-second", "new", "old"}},
		"mesh and before": {Flush{Scope: All(), Mesh: "b", Before: time.UnixMilli(1_700_000_001_000)}, 0, []mesh.ClientID{"other-mesh", "to-second", "new", "old"}},
		"another mesh":    {Flush{Scope: All(), Mesh: "c"}, 0, []mesh.ClientID{"other-mesh", "to-second", "new", "old"}},
		"a session":       {Flush{Scope: Only(second)}, 1, []mesh.ClientID{"other-mesh", "new", "old"}},
		"what the gate holds": {
			Flush{Scope: All(), Admit: func(r Row) bool { return r.ClientID != "new" && r.Body == nil }}, 3, []mesh.ClientID{"new"},
		},
	} {
		now := time.UnixMilli(1_700_000_000_000)
		b := openAt(t, filepath.Join(t.TempDir(), "inbox.db"), func() time.Time { return now })
		put(t, b, draft("old"))
		now = now.Add(time.Second)
		put(t, b, draft("new"))
		d := draft("to-second")
		d.To = second
		put(t, b, d)
		d = draft("other-mesh")
		d.Mesh = "b"
		put(t, b, d)
		n, err := b.Flush(context.Background(), c.flush)
		if n != c.gone || err != nil {
			t.Errorf("%s: %d went, %v; want %d", name, n, err, c.gone)
		}
		if diff := cmp.Diff(c.left, listed(t, b, All())); diff != "" {
			t.Errorf("%s leaves (-want +got):\n%s", name, diff)
		}
		if n, err := b.Flush(context.Background(), c.flush); n != 0 || err != nil {
			t.Errorf("%s again: %d went, %v; want none", name, n, err)
		}
	}
}

// What was forgotten is gone from every reader and from the file, and does not come back by a copy that was under way.
func TestForgottenStaysForgotten(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	b := openAt(t, filepath.Join(t.TempDir(), "inbox.db"), func() time.Time { return now })
	ctx := context.Background()
	plain := draft("one")
	row := put(t, b, plain)
	put(t, b, draft("two"))
	if _, err := b.Delete(ctx, Only(second), "one", nil); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("a session deleted the message of another: %v", err)
	}
	held := func(Row) bool { return false }
	if _, err := b.Delete(ctx, Only(first), "one", held); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("a session deleted what is held: %v", err)
	}
	got, err := b.Delete(ctx, Only(first), "broker-one", nil)
	if err != nil || got.ID != row.ID {
		t.Fatalf("deleted %q, %v; want %q", got.ID, err, row.ID)
	}
	if diff := cmp.Diff([]mesh.ClientID{"two"}, listed(t, b, All())); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	if after, err := b.After(ctx, All(), 0, 10); err != nil || len(after) != 1 {
		t.Errorf("a follower gets %v, %v; want the other one", ids(after), err)
	}
	if _, err := b.Find(ctx, All(), row.ID); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("it is found: %v", err)
	}
	if n, err := b.Unread(ctx, All(), ""); n != 1 || err != nil {
		t.Errorf("%d unread, %v; want the other one", n, err)
	}
	claimed, err := b.Claim(ctx, Surface{ID: "s", Scope: Only(first)}, 10, nil)
	if err != nil || len(claimed) != 1 || claimed[0].ClientID != "two" {
		t.Errorf("%d are offered, %v; want the other one", len(claimed), err)
	}
	if _, err := b.Delete(ctx, All(), row.ID, nil); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if _, v, err := b.Put(ctx, plain); v != Duplicate || err != nil {
		t.Errorf("it came again: verdict %d, %v; want a duplicate", v, err)
	}
	now = now.Add(resendTime + time.Millisecond)
	if _, err := b.prune(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Flush(ctx, Flush{Scope: All()}); n != 1 || err != nil {
		t.Errorf("%d rows are left, %v; want the one that nobody deleted", n, err)
	}
	if _, v, err := b.Put(ctx, plain); v != New || err != nil {
		t.Errorf("after two weeks: verdict %d, %v; want its row gone", v, err)
	}
}

// A retention that is shorter than brokers keep messages lets none come back.
func TestShortRetentionKeepsIDs(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	opt := optionsAt(filepath.Join(t.TempDir(), "inbox.db"), func() time.Time { return now })
	opt.Keep = time.Hour
	b, err := Open(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	put(t, b, draft("one"))
	now = now.Add(time.Hour + time.Millisecond)
	if n, err := b.prune(context.Background()); n != 1 || err != nil {
		t.Errorf("%d rows went, %v; want 1", n, err)
	}
	if got := listed(t, b, All()); len(got) != 0 {
		t.Errorf("%v is listed after its time", got)
	}
	if _, v, err := b.Put(context.Background(), draft("one")); v != Duplicate || err != nil {
		t.Errorf("it came again: verdict %d, %v; want a duplicate", v, err)
	}
}

// A wrong date wipes nothing (daemon 25, row 30).
func TestWrongDatesWipeNothing(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for _, wrong := range []string{"", "garbage", "yesterday", "2026-01-02", "2026-13-01T00:00:00Z", "2062-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-03-04T12:00:01Z"} {
		if _, err := ParseFlush(localapi.FlushRequest{Before: &wrong}, All(), now); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("before %q: got %v, want %s", wrong, err, mesh.BadRequest)
		}
	}
	empty, slug, past := "", "team", "2026-03-04T12:00:00Z"
	if _, err := ParseFlush(localapi.FlushRequest{Mesh: &empty}, All(), now); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("an empty mesh: got %v, want %s", err, mesh.BadRequest)
	}
	f, err := ParseFlush(localapi.FlushRequest{Mesh: &slug, Before: &past}, All(), now)
	if err != nil || f.Mesh != "team" || !f.Before.Equal(now) {
		t.Errorf("got %+v, %v", f, err)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	b := open(t)
	for id, text := range map[mesh.ClientID]string{"plain": "Release NOTES of 100%", "umlaut": "Über den Wolken", "other": "nothing"} {
		d := draft(id)
		d.Body = &text
		put(t, b, d)
	}
	named := draft("named")
	named.From.Name, named.Topic, named.Body = "Notes-Bot", "@wolken", nil
	put(t, b, named)
	secret := func(r Row) bool { return r.ClientID != "plain" }
	for name, c := range map[string]struct {
		query Query
		want  []mesh.ClientID
	}{
		"text and sender":          {Query{Search: "notes"}, []mesh.ClientID{"named", "plain"}},
		"any case, beyond ASCII":   {Query{Search: "ÜBER"}, []mesh.ClientID{"umlaut"}},
		"a topic":                  {Query{Search: "Wolken"}, []mesh.ClientID{"named", "umlaut"}},
		"a sign of patterns":       {Query{Search: "100%"}, []mesh.ClientID{"plain"}},
		"a sign alone":             {Query{Search: "_"}, []mesh.ClientID{}},
		"texts that are withheld":  {Query{Search: "notes", Reads: secret}, []mesh.ClientID{"named"}},
		"what the gate holds":      {Query{Search: "notes", Admit: secret}, []mesh.ClientID{"named"}},
		"messages of somebody":     {Query{Search: "notes", Scope: Only(second)}, []mesh.ClientID{}},
		"no more than are wanted":  {Query{Search: "o", Limit: 1}, []mesh.ClientID{"named"}},
		"what is not there at all": {Query{Search: "missing"}, []mesh.ClientID{}},
	} {
		if c.query.KeepUnread = true; c.query.Scope.keys == nil {
			c.query.Scope = All()
		}
		p, err := b.List(context.Background(), c.query)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := map[mesh.ClientID]bool{}
		for _, id := range ids(p.Rows) {
			got[id] = true
		}
		want := map[mesh.ClientID]bool{}
		for _, id := range c.want {
			want[id] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := b.List(context.Background(), Query{Scope: All(), Search: string(make([]byte, maxSearch+1))}); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("a long text: got %v, want %s", err, mesh.BadRequest)
	}
}

// What a session may not read, it cannot guess by asking what is held.
func TestSearchTellsNothingOfWhatIsHeld(t *testing.T) {
	t.Parallel()
	b := open(t)
	put(t, b, draft("one"))
	for _, text := range []string{"body", "nothing of the kind"} {
		p, err := b.List(context.Background(), Query{Scope: All(), Search: text, KeepUnread: true, Admit: func(Row) bool { return false }})
		if err != nil || p.Held != 1 || len(p.Rows) != 0 {
			t.Errorf("%q: %d held, %d listed, %v; want 1 and none, whatever is looked for", text, p.Held, len(p.Rows), err)
		}
	}
}

// BenchmarkSearch looks through 20,000 messages of a kilobyte.
func BenchmarkSearch(b *testing.B) {
	in := open(b)
	body := string(make([]byte, 1024))
	done := make(chan error, 100)
	for i := range 20_000 {
		d := draft(mesh.NewClientID(time.UnixMilli(int64(i))))
		d.Body = &body
		go func() { _, _, err := in.Put(context.Background(), d); done <- err }()
		if i >= 100 {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		if _, err := in.List(context.Background(), Query{Scope: All(), Search: "needle", KeepUnread: true}); err != nil {
			b.Fatal(err)
		}
	}
}
