package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

var allStatuses = []Status{Pending, Inflight, Done, Dead, Aborted}

// step is one thing that happens to a row. It gets the row as a drain remembers it, whatever has become of the row since.
type step struct {
	name string
	do   func(o *Outbox, rowID string, a attempt) error
	// moves are the statuses that change, and to what (daemon 10.3); all others stay.
	moves map[Status]Status
}

// write is one transition that a drain decided.
func write(c change) func(*Outbox, string, attempt) error {
	return func(o *Outbox, _ string, a attempt) error {
		one := c
		one.attempt = a
		one.nextMs, one.brokerID = 2_000_000_000_000, "bm-late"
		d := &drain{o: o, meshID: meshA, changes: []change{one}}
		_, err := d.write(context.Background(), nil)
		return err
	}
}

func steps() []step {
	ctx := context.Background()
	return []step{
		{"claim", func(o *Outbox, _ string, a attempt) error {
			d := &drain{o: o, meshID: meshA}
			_, err := d.write(ctx, []attempt{a})
			return err
		}, map[Status]Status{Pending: Inflight}},
		{"ack", write(change{from: Inflight, to: Done, atMs: 1}), map[Status]Status{Inflight: Done}},
		{"refusal for good", write(change{from: Inflight, to: Dead, error: "forbidden"}), map[Status]Status{Inflight: Dead}},
		{"failure that passes", write(change{from: Inflight, to: Pending, error: "lost"}), map[Status]Status{Inflight: Pending}},
		{"too old", write(change{from: Pending, to: Dead, error: "max_age"}), map[Status]Status{Pending: Dead}},
		{"requeue", func(o *Outbox, id string, _ attempt) error {
			_, err := o.Requeue(ctx, id, "test", draft("for-"+mesh.ClientID(id), bob, "hello"))
			return err
		}, map[Status]Status{Pending: Aborted, Inflight: Aborted, Dead: Aborted}},
		{"cancel", func(o *Outbox, id string, _ attempt) error {
			_, err := o.Cancel(ctx, id, "test")
			return err
		}, map[Status]Status{Pending: Aborted, Dead: Aborted}},
		{"restart", func(o *Outbox, _ string, _ attempt) error { return recoverRows(ctx, o) }, map[Status]Status{Inflight: Pending}},
		{"new drain", func(o *Outbox, _ string, _ attempt) error { return adoptMesh(ctx, o, meshA, "a") }, map[Status]Status{Inflight: Pending}},
		{"mesh left", func(o *Outbox, _ string, _ attempt) error { _, err := o.DropMesh(ctx, meshA); return err },
			map[Status]Status{Pending: Dead, Inflight: Dead}},
		{"session ended", func(o *Outbox, _ string, _ attempt) error {
			_, err := o.Reseal(ctx, meshA, func(mesh.Key) bool { return true }, func(mesh.Key, []byte) (string, string, error) { return "n", "c", nil })
			return err
		}, map[Status]Status{Inflight: Pending}},
		{"receipt", func(o *Outbox, _ string, a attempt) error {
			_, _, err := o.ApplyReceipts(ctx, meshA, []Receipt{{Receipt: protocol.Receipt{Seq: a.seq, ClientMessageID: a.id, MessageID: "bm-1", Recipient: bob, State: mesh.StateDelivered}}}, true)
			return err
		}, nil},
		{"blanking", func(o *Outbox, _ string, _ attempt) error { return blank(ctx, o) }, nil},
	}
}

// TestTransitions does everything that can happen to a row in each status: it moves along daemon 10.3 and nowhere else.
func TestTransitions(t *testing.T) {
	t.Parallel()
	for _, s := range steps() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			o := outboxOf(t, allStatuses...)
			want, got, wantOpen := map[Status]Status{}, map[Status]Status{}, int64(0)
			for i, from := range allStatuses {
				to, moved := s.moves[from]
				if !moved {
					to = from
				}
				want[from] = to
				if waits(to) {
					wantOpen++
				}
				if s.name == "requeue" && moved {
					wantOpen++ // the new row
				}
				if err := s.do(o, fmt.Sprintf("row-%d", i+1), tryOf(int64(i+1), mesh.ClientID(from))); err != nil && moved {
					t.Errorf("of a row that is %s: %v", from, err)
				}
			}
			for _, from := range allStatuses {
				got[from] = row(t, o, mesh.ClientID(from)).Status
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("status by status before (-want +got):\n%s", diff)
			}
			if n := o.open.Load(); n != wantOpen {
				t.Errorf("%d rows are counted as waiting, want %d", n, wantOpen)
			}
		})
	}
}

// tryOf is a try of a row, as a drain remembers it.
func tryOf(seq int64, id mesh.ClientID) attempt {
	plan, key := newSchedule(), laneKey{target: bob, sender: sess}
	plan.add(key, ref{seq: seq, id: id})
	return attempt{ref: ref{seq: seq, id: id}, lane: plan.lanes[key]}
}

// outboxOf makes an outbox with a row, row-1 and so on, of a session that has ended, in each of these statuses; their
// client ids are their statuses.
func outboxOf(t *testing.T, statuses ...Status) *Outbox {
	t.Helper()
	made := 0
	o, err := Open(context.Background(), Options{
		Path: filepath.Join(t.TempDir(), "outbox.db"), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		newID: func(time.Time) mesh.ClientID { made++; return mesh.ClientID(fmt.Sprintf("row-%d", made)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, s := range statuses {
		d := draft(mesh.ClientID(s), bob, "hello")
		d.Sender = sess
		accept(t, o, d)
		force(t, o, mesh.ClientID(s), Row{Status: s, BrokerID: brokerOf(s)})
		if !waits(s) {
			o.open.Add(-1)
		}
	}
	return o
}

// rowIn makes an outbox with one row, row-1 and one, in a status, and a try of it.
func rowIn(t *testing.T, s Status) (*Outbox, attempt) {
	t.Helper()
	o := outboxOf(t, s)
	err := o.db.Write(context.Background(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec("UPDATE outbox SET client_message_id = 'one'")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return o, tryOf(1, "one")
}

// An ack after the row was aborted: it stays aborted, and its state tells the truth all the same.
func TestAckAfterAbort(t *testing.T) {
	t.Parallel()
	o, a := rowIn(t, Inflight)
	done, err := o.Requeue(context.Background(), "row-1", "anna", draft("next", bob, "hello"))
	if err != nil {
		t.Fatal(err)
	}
	if !done.Old.MayBeSent() {
		t.Error("a row that was under way is said not to be sent for sure")
	}
	if err := write(change{from: Inflight, to: Done, atMs: 7})(o, "row-1", a); err != nil {
		t.Fatal(err)
	}
	m, err := o.Status(context.Background(), "one", "")
	if err != nil {
		t.Fatal(err)
	}
	if m.Status != Aborted || m.SupersededBy != done.New.ID || m.AbortedBy != "anna" {
		t.Errorf("got %+v, want it aborted by anna for %s", m.Row, done.New.ID)
	}
	if m.State != mesh.StateAccepted || m.BrokerID != "bm-late" {
		t.Errorf("got state %s and broker id %q, want accepted as bm-late: the broker has it", m.State, m.BrokerID)
	}
	if _, err := o.Accept(context.Background(), draft("one", bob, "hello")); !mesh.IsCode(err, mesh.Reused) {
		t.Errorf("a retry of the aborted id: got %v, want %s", err, mesh.Reused)
	}
}

func TestRequeue(t *testing.T) {
	t.Parallel()
	o, _ := rowIn(t, Dead)
	next := draft("next", bob, "hello")
	next.Nonce, next.Ciphertext, next.Priority, next.ReplyTo = "new nonce", "new box", mesh.Now, "bm-0"
	done, err := o.Requeue(context.Background(), "row-1", "operator", next)
	if err != nil {
		t.Fatal(err)
	}
	l, err := o.Inspect(context.Background(), done.New.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	got := l.Row
	if got.Status != Pending || got.Attempts != 0 || got.Recipient != bob || got.TargetSpec != bob || got.MeshID != meshA || got.Mesh != "a" ||
		got.Priority != mesh.Now || got.ReplyTo != "bm-0" || string(l.Body) != "hello" || !got.NextAttemptAt.Equal(got.EnqueuedAt) {
		t.Errorf("the new row is %+v with %q, want it pending for the same target", got, l.Body)
	}
	if n := nonceOf(t, o, "next"); n != "new nonce" {
		t.Errorf("its box has nonce %q, want the new one", n)
	}
	old, err := o.Inspect(context.Background(), "row-1", "")
	if err != nil || old.Status != Aborted || old.SupersededBy != got.ID || old.AbortedBy != "operator" || old.AbortedAt.IsZero() || old.Reason() != "replaced by "+got.ID {
		t.Errorf("the old row is %+v, %v; want it aborted for the new one", old.Row, err)
	}
	again, err := o.Requeue(context.Background(), "row-1", "operator", next)
	if err != nil || again.New.ID != got.ID || countRows(t, o) != 2 {
		t.Errorf("the same requeue again: got %+v, %v with %d rows, want the same row", again.New, err, countRows(t, o))
	}
	_, err = o.Requeue(context.Background(), "row-1", "operator", draft("other", bob, "hello"))
	if !mesh.IsCode(err, mesh.MessageSettled) {
		t.Errorf("another requeue of the aborted row: got %v, want %s", err, mesh.MessageSettled)
	}
}

// A requeue goes to whom the message went: never to another mesh, target or recipient, and above all never in clear.
func TestLesson4RequeueNeverWidensTheAudience(t *testing.T) {
	t.Parallel()
	for name, widen := range map[string]func(*Draft){
		"in clear":      func(d *Draft) { d.Recipient = "" },
		"to everyone":   func(d *Draft) { d.TargetSpec, d.Recipient = "*", "" },
		"to a group":    func(d *Draft) { d.TargetSpec, d.Recipient = "@ops", "" },
		"to another":    func(d *Draft) { d.TargetSpec, d.Recipient = carol, carol },
		"for another":   func(d *Draft) { d.Recipient = carol },
		"in other mesh": func(d *Draft) { d.MeshID, d.Mesh = "meshB", "b" },
	} {
		o, _ := rowIn(t, Dead)
		d := draft("next", bob, "hello")
		widen(&d)
		if _, err := o.Requeue(context.Background(), "row-1", "x", d); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("%s: got %v, want %s", name, err, mesh.Forbidden)
		}
		if r := row(t, o, "one"); r.Status != Dead || countRows(t, o) != 1 {
			t.Errorf("%s: the row is %s among %d, want nothing changed", name, r.Status, countRows(t, o))
		}
	}
}

func TestRequeueRefuses(t *testing.T) {
	t.Parallel()
	o, _ := rowIn(t, Dead)
	accept(t, o, draft("taken", bob, "other"))
	for name, c := range map[string]struct {
		id   string
		next mesh.ClientID
		want mesh.Code
	}{
		"no such row":    {"row-9", "next", mesh.NotFound},
		"its own id":     {"row-1", "one", mesh.ClientIDInUse},
		"a taken id":     {"row-1", "taken", mesh.ClientIDInUse},
		"an odd id":      {"row-1", "a\x00b", mesh.BadRequest},
		"the client id ": {"one", "next", mesh.NotFound},
	} {
		if _, err := o.Requeue(context.Background(), c.id, "x", Draft{
			ClientID: c.next, MeshID: meshA, Mesh: "a", TargetSpec: bob, Recipient: bob, Nonce: "n", Ciphertext: "c",
		}); !mesh.IsCode(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if r := row(t, o, "one"); r.Status != Dead {
		t.Errorf("the row is %s after refusals, want dead", r.Status)
	}
	o.open.Store(maxOpen)
	if _, err := o.Requeue(context.Background(), "row-1", "x", draft("next", bob, "hello")); !mesh.IsCode(err, mesh.QueueFull) {
		t.Errorf("with a full outbox: got %v, want %s", err, mesh.QueueFull)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	o, _ := rowIn(t, Pending)
	changed, stop := o.watch.begin("one")
	defer stop()
	old, err := o.Cancel(ctx, "row-1", "anna")
	if err != nil || old.Status != Pending || old.MayBeSent() {
		t.Fatalf("cancel: got %+v, %v; want the pending row, which was never sent", old, err)
	}
	if len(changed) != 1 {
		t.Error("who waits for the message is not told")
	}
	m, err := o.Status(ctx, "one", "")
	if err != nil || m.State != mesh.StateRejected || m.Recipients[0].Reason != "cancelled" {
		t.Errorf("got %+v, %v; want it rejected because it was cancelled", m, err)
	}
	if _, err := o.Cancel(ctx, "row-1", "anna"); err != nil {
		t.Errorf("the same again: %v", err)
	}
	for _, s := range []struct {
		is   Status
		want mesh.Code
	}{{Done, mesh.MessageSettled}, {Inflight, mesh.MessageInflight}} {
		o, _ := rowIn(t, s.is)
		if _, err := o.Cancel(ctx, "row-1", "x"); !mesh.IsCode(err, s.want) {
			t.Errorf("a row that is %s: got %v, want %s", s.is, err, s.want)
		}
	}
	o, _ = rowIn(t, Dead)
	if _, err := o.Requeue(ctx, "row-1", "x", draft("next", bob, "hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Cancel(ctx, "row-1", "x"); !mesh.IsCode(err, mesh.MessageSettled) {
		t.Errorf("a row that was replaced: got %v, want %s", err, mesh.MessageSettled)
	}
}

func TestMayBeSent(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1000)
	later := at.Add(claimHold)
	for name, c := range map[string]struct {
		row  Row
		want bool
	}{
		"accepted now":             {Row{Status: Pending, EnqueuedAt: at, NextAttemptAt: at}, false},
		"tried, no answer":         {Row{Status: Pending, EnqueuedAt: at, NextAttemptAt: later}, true},
		"under way":                {Row{Status: Inflight, EnqueuedAt: at, NextAttemptAt: later}, true},
		"refused":                  {Row{Status: Dead, EnqueuedAt: at, NextAttemptAt: later, LastError: "forbidden: no"}, false},
		"too old, never tried":     {Row{Status: Dead, EnqueuedAt: at, NextAttemptAt: at, LastError: string(mesh.MaxAge)}, false},
		"too old after a try":      {Row{Status: Dead, EnqueuedAt: at, NextAttemptAt: later, LastError: string(mesh.MaxAge)}, true},
		"kicked after a try":       {Row{Status: Dead, EnqueuedAt: at, NextAttemptAt: later, LastError: string(mesh.Kicked)}, true},
		"the broker has it anyway": {Row{Status: Done, EnqueuedAt: at, NextAttemptAt: later}, false},
	} {
		if got := c.row.MayBeSent(); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}

func TestDropStrays(t *testing.T) {
	t.Parallel()
	now := time.Now()
	o := openAt(t, filepath.Join(t.TempDir(), "outbox.db"), func() time.Time { return now })
	accept(t, o, draft("kept", bob, "x"))
	stray := draft("stray", bob, "x")
	stray.MeshID, stray.Mesh = "meshB", "b"
	accept(t, o, stray)
	now = now.Add(strayAfter + time.Second)
	young := stray
	young.ClientID = "young"
	accept(t, o, young)
	n, err := o.DropStrays(context.Background(), func(id mesh.ID, _ string) bool { return id == meshA })
	if n != 1 || err != nil {
		t.Fatalf("got %d, %v; want the one stray that is old", n, err)
	}
	got := map[mesh.ClientID]Status{}
	for _, id := range []mesh.ClientID{"kept", "stray", "young"} {
		got[id] = row(t, o, id).Status
	}
	if diff := cmp.Diff(map[mesh.ClientID]Status{"kept": Pending, "stray": Dead, "young": Pending}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := row(t, o, "stray").LastError; got != string(mesh.NoBrokerForMesh) {
		t.Errorf("got %q, want %s", got, mesh.NoBrokerForMesh)
	}
	if got := o.open.Load(); got != 2 {
		t.Errorf("%d rows are counted as waiting, want 2", got)
	}
}

func TestBlankTakesAbortedBodiesToo(t *testing.T) {
	t.Parallel()
	now := time.Now()
	o, err := Open(context.Background(), Options{
		Path: filepath.Join(t.TempDir(), "outbox.db"), Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler), Keep: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() }) // nothing is written after the test
	accept(t, o, draft("one", bob, "hello"))
	if _, err := o.Cancel(context.Background(), row(t, o, "one").ID, "x"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{time.Hour, false}, {time.Second, true}} {
		now = now.Add(c.after)
		if err := blank(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		if got := bodyBytes(t, o, "one") == 0; got != c.want {
			t.Errorf("the body is gone: %t, want %t", got, c.want)
		}
	}
	l, err := o.Inspect(context.Background(), "one", "")
	if err != nil || !l.Blanked || l.BodyBytes != 5 {
		t.Errorf("got %+v, %v; want a blanked row of 5 bytes", l, err)
	}
}

// The plan of a drain lets a cancelled row go at once: those behind it do not wait for its next try.
func TestCancelledHeadFreesItsLane(t *testing.T) {
	t.Parallel()
	s := newSchedule()
	key := laneKey{target: bob}
	s.add(key, ref{seq: 1, id: "head", nextMs: 1 << 50, attempts: 3})
	s.add(key, ref{seq: 2, id: "next"})
	s.add(laneKey{target: carol}, ref{seq: 3, id: "only"})
	s.forget([]int64{1, 3, 99})
	if l := s.lanes[key]; len(l.waiting) != 1 || l.waiting[0].id != "next" {
		t.Errorf("got %+v, want next at the head", l.waiting)
	}
	if s.lanes[laneKey{target: carol}] != nil || len(s.queue) != 1 {
		t.Errorf("an empty lane stays: %d lanes, %d in the queue", len(s.lanes), len(s.queue))
	}
	s.forget([]int64{2})
	if len(s.lanes) != 0 || len(s.queue) != 0 {
		t.Errorf("%d lanes and %d in the queue stay, want none", len(s.lanes), len(s.queue))
	}
}

// A drain that waits for the next try of a row is told that it was cancelled.
func TestDrainHearsOfACancelledRow(t *testing.T) {
	t.Parallel()
	o := open(t)
	for _, id := range []mesh.ClientID{"one", "two"} {
		accept(t, o, draft(id, bob, "x"))
	}
	var seqs []int64
	if err := o.db.Read(context.Background(), func(tx *sqlite.Tx) error {
		rows, err := tx.Query("SELECT rowid FROM outbox ORDER BY rowid")
		for err == nil && rows.Next() {
			var seq int64
			if err = rows.Scan(&seq); err == nil {
				seqs = append(seqs, seq)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	wake, err := o.wakes.add(meshA)
	if err != nil {
		t.Fatal(err)
	}
	d := &drain{o: o, meshID: meshA, plan: newSchedule()}
	if err := d.load(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Cancel(context.Background(), row(t, o, "one").ID, "x"); err != nil {
		t.Fatal(err)
	}
	if len(wake) != 1 {
		t.Fatal("the drain was not woken")
	}
	if err := d.load(context.Background()); err != nil {
		t.Fatal(err)
	}
	l := d.plan.lanes[laneKey{target: bob}]
	if l == nil || len(l.waiting) != 1 || l.waiting[0].seq != seqs[1] {
		t.Errorf("the drain holds %+v, want the second row alone", l)
	}
}
