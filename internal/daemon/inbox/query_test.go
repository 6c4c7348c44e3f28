package inbox

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// ids lists the client ids of rows.
func ids(rows []Row) []mesh.ClientID {
	out := []mesh.ClientID{}
	for _, r := range rows {
		out = append(out, r.ClientID)
	}
	return out
}

// filled has a message to the first session, one to the second, one to their member, and one of the TypeScript daemon.
func filled(t *testing.T) *Inbox {
	t.Helper()
	b := openAt(t, leave(t, leftTable, `INSERT INTO inbox (id, client_message_id, mesh, sender_pubkey, sender_name, body, received_at)
		VALUES ('r', 'left', 'a', 'old sender', 'old', 'text', 1000)`), time.Now)
	put(t, b, draft("to-first"))
	d := draft("to-second")
	d.To = second
	put(t, b, d)
	d = draft("to-member")
	d.To, d.Kind, d.Mesh = me, Member, "b"
	put(t, b, d)
	return b
}

func TestLesson111Scope(t *testing.T) {
	t.Parallel()
	b := filled(t)
	ctx := context.Background()
	for name, c := range map[string]struct {
		scope Scope
		want  []mesh.ClientID
	}{
		"nobody":             {Scope{}, []mesh.ClientID{}},
		"user":               {All(), []mesh.ClientID{"to-member", "to-second", "to-first", "left"}},
		"session and member": {Only(first, me), []mesh.ClientID{"to-member", "to-first", "left"}},
		"session alone":      {Only(second), []mesh.ClientID{"to-second", "left"}},
		"stranger":           {Only(alice), []mesh.ClientID{"left"}},
	} {
		p, err := b.List(ctx, Query{Scope: c.scope, KeepUnread: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, ids(p.Rows)); diff != "" {
			t.Errorf("%s lists (-want +got):\n%s", name, diff)
		}
		after, err := b.After(ctx, c.scope, 0, 10)
		if err != nil || len(after) != len(c.want) {
			t.Errorf("%s follows %v, %v; want %d rows", name, ids(after), err, len(c.want))
		}
		if n, err := b.Unread(ctx, c.scope, ""); n != len(c.want) || err != nil {
			t.Errorf("%s has %d unread, %v; want %d", name, n, err, len(c.want))
		}
	}
	if _, err := b.Find(ctx, Only(first), "to-second"); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("the first session finds the second's message: %v", err)
	}
	row, err := b.Find(ctx, All(), "to-second")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := b.MarkSeen(ctx, Only(first, me), []string{row.ID}, nil); n != 0 || err != nil {
		t.Errorf("the first session marked %d of the second's messages, %v; want none", n, err)
	}
	if n, err := b.MarkSeen(ctx, Only(second), []string{row.ID, row.ID, "unknown"}, nil); n != 1 || err != nil {
		t.Errorf("the second session marked %d, %v; want 1", n, err)
	}
	if n, err := b.MarkSeen(ctx, Only(second), []string{row.ID}, nil); n != 0 || err != nil {
		t.Errorf("it marked %d again, %v; want none", n, err)
	}
}

func TestListNarrows(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	b := openAt(t, t.TempDir()+"/inbox.db", func() time.Time { return now })
	put(t, b, draft("one"))
	now = now.Add(time.Second)
	d := draft("two")
	d.Topic, d.From.Key, d.From.Member, d.From.Name = "#ops", second, me, "Zoë's"
	put(t, b, d)
	now = now.Add(time.Second)
	d = draft("three")
	d.Mesh = "b"
	put(t, b, d)
	for name, c := range map[string]struct {
		query Query
		want  []mesh.ClientID
	}{
		"everything": {Query{}, []mesh.ClientID{"three", "two", "one"}},
		"mesh":       {Query{Mesh: "b"}, []mesh.ClientID{"three"}},
		"since":      {Query{Since: time.UnixMilli(1_700_000_001_000)}, []mesh.ClientID{"three", "two"}},
		"topic":      {Query{Topic: "#ops"}, []mesh.ClientID{"two"}},
		"session":    {Query{From: string(second)}, []mesh.ClientID{"two"}},
		"member":     {Query{From: string(me)}, []mesh.ClientID{"two"}},
		"name":       {Query{From: "Zoë's"}, []mesh.ClientID{"two"}},
		"no name":    {Query{From: "Zoë"}, []mesh.ClientID{}},
		"limit":      {Query{Limit: 2}, []mesh.ClientID{"three", "two"}},
	} {
		c.query.Scope, c.query.KeepUnread = All(), true
		p, err := b.List(context.Background(), c.query)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, ids(p.Rows)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCLILesson1210ListMarksSeen(t *testing.T) {
	t.Parallel()
	b := open(t)
	put(t, b, draft("one"))
	put(t, b, draft("two"))
	ctx := context.Background()
	list := func(q Query) Page {
		t.Helper()
		q.Scope = Only(first)
		p, err := b.List(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := list(Query{KeepUnread: true}); p.Marked != 0 || len(p.Rows) != 2 {
		t.Errorf("told to leave them unread: marked %d of %d", p.Marked, len(p.Rows))
	}
	if p := list(Query{Limit: 1}); p.Marked != 1 || !p.Rows[0].SeenAt.IsZero() {
		t.Errorf("first look: marked %d, seen at %s; want 1, shown as unread", p.Marked, p.Rows[0].SeenAt)
	}
	if p := list(Query{UnreadOnly: true}); p.Marked != 1 || len(p.Rows) != 1 || p.Rows[0].ClientID != "one" {
		t.Errorf("unread rows: %v, marked %d; want the other one", ids(p.Rows), p.Marked)
	}
	if p := list(Query{}); p.Marked != 0 || p.Rows[0].SeenAt.IsZero() {
		t.Errorf("last look: marked %d, seen at %s; want all seen", p.Marked, p.Rows[0].SeenAt)
	}
}

// Held rows are counted, not listed and not marked, and the gate never reads a body.
func TestListAsksTheGate(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, id := range []mesh.ClientID{"one", "held", "two"} {
		put(t, b, draft(id))
	}
	gate := func(r Row) bool {
		if r.Body != nil {
			t.Errorf("the gate was given the body of %s", r.ClientID)
		}
		return r.ClientID != "held"
	}
	p, err := b.List(context.Background(), Query{Scope: Only(first), Admit: gate})
	if err != nil || p.Held != 1 || p.Marked != 2 {
		t.Errorf("held %d, marked %d, %v; want 1 and 2", p.Held, p.Marked, err)
	}
	if diff := cmp.Diff([]mesh.ClientID{"two", "one"}, ids(p.Rows)); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	if p.Rows[0].Body == nil {
		t.Error("a listed row has lost its body")
	}
	if n, err := b.Unread(context.Background(), Only(first), ""); n != 1 || err != nil {
		t.Errorf("%d unread, %v; want the held one", n, err)
	}
}

func TestAfterPages(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, id := range []mesh.ClientID{"one", "two", "three"} {
		put(t, b, draft(id))
	}
	var got []mesh.ClientID
	for seq := int64(0); ; {
		rows, err := b.After(context.Background(), Only(first), seq, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		got, seq = append(got, ids(rows)...), rows[len(rows)-1].Seq
	}
	if diff := cmp.Diff([]mesh.ClientID{"one", "two", "three"}, got); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
	if seq, err := b.LastSeq(context.Background()); seq != 3 || err != nil {
		t.Errorf("last seq is %d, %v; want 3", seq, err)
	}
}

func TestLastSeqOfNothing(t *testing.T) {
	t.Parallel()
	if seq, err := open(t).LastSeq(context.Background()); seq != 0 || err != nil {
		t.Errorf("last seq is %d, %v; want 0", seq, err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	b := open(t)
	r := put(t, b, draft("one"))
	for _, id := range []string{r.ID, "one", "broker-one"} {
		if got, err := b.Find(context.Background(), Only(first), id); err != nil || got.Seq != r.Seq {
			t.Errorf("%s: row %d, %v; want %d", id, got.Seq, err, r.Seq)
		}
	}
	for _, id := range []string{"", "on", "two"} {
		if _, err := b.Find(context.Background(), All(), id); !mesh.IsCode(err, mesh.NotFound) {
			t.Errorf("%q: got %v, want %s", id, err, mesh.NotFound)
		}
	}
}

func TestParseQuery(t *testing.T) {
	t.Parallel()
	no := false
	q, err := ParseQuery(localapi.InboxRequest{Since: "2026-01-02T03:04:05.678Z", From: string(alice), Limit: 1000, MarkSeen: &no}, Only(me))
	if err != nil || !q.KeepUnread || q.Since.UTC().Format(mesh.TimeFormat) != "2026-01-02T03:04:05.678Z" || q.From != string(alice) {
		t.Errorf("got %+v, %v", q, err)
	}
	for name, req := range map[string]localapi.InboxRequest{
		"garbage for a time": {Since: "yesterday"},
		"a date alone":       {Since: "2026-01-02"},
		"too many":           {Limit: 1001},
		"less than nothing":  {Limit: -1},
		"a short key":        {From: "a11ce000a11ce000"},
		"a key in capitals":  {From: "A11CE000A11CE000A11CE000A11CE000A11CE000A11CE000A11CE000A11CE000"},
	} {
		if _, err := ParseQuery(req, All()); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%s: got %v, want %s", name, err, mesh.BadRequest)
		}
	}
	if _, err := open(t).After(context.Background(), All(), 0, 0); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("a page of none: got %v, want %s", err, mesh.BadRequest)
	}
	if _, err := open(t).MarkSeen(context.Background(), All(), make([]string, 1001), nil); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("1001 ids: got %v, want %s", err, mesh.BadRequest)
	}
}
