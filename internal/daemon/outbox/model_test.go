package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// machine drives an outbox by random steps, with a drain whose acks are chosen by the steps too, and keeps a model of
// what must hold: rows move only along the legal transitions (daemon 10.3), each id ends once, and the broker sees the
// rows of a lane in the order of their acceptance.
type machine struct {
	path   string
	now    time.Time
	o      *Outbox
	d      *drain
	flying []frame

	order    map[string][]mesh.ClientID // accepted here, by target
	drafts   map[mesh.ClientID]Draft
	heirs    map[mesh.ClientID]mesh.ClientID // what was requeued, and as what
	prints   map[mesh.ClientID]seal.Fingerprint
	status   map[mesh.ClientID]Status // as last seen
	broker   map[mesh.ClientID]mesh.ID
	brokered map[string][]mesh.ClientID // accepted there, by target
}

// legal are the transitions of a drain, a restart, and the user.
var legal = map[[2]Status]bool{
	{"", Pending}: true, {Pending, Inflight}: true, {Pending, Dead}: true,
	{Inflight, Done}: true, {Inflight, Dead}: true, {Inflight, Pending}: true,
	{Pending, Aborted}: true, {Inflight, Aborted}: true, {Dead, Aborted}: true,
}

func (m *machine) open(t *rapid.T) {
	o, err := Open(context.Background(), Options{Path: m.path, Now: func() time.Time { return m.now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	m.o, m.flying = o, nil
	wake, err := o.wakes.add(meshA)
	if err != nil {
		t.Fatalf("begin the drain: %v", err)
	}
	m.d = &drain{
		o: o, meshID: meshA, route: newScripted(), wake: wake, plan: newSchedule(), log: o.log,
		results: make(chan attempt, maxLanes*maxWindow), expireAt: m.now.Add(expireEvery),
	}
	m.d.plan.limit(m.d.route.Limits())
	m.load(t)
}

func (m *machine) load(t *rapid.T) {
	if err := m.d.load(context.Background()); err != nil {
		t.Fatalf("load: %v", err)
	}
}

// accept sends a new id or repeats an old one, with its own fingerprint or another.
func (m *machine) accept(t *rapid.T) {
	id := mesh.ClientID(fmt.Sprintf("id-%d", rapid.IntRange(0, 12).Draw(t, "id")))
	to := target(rapid.IntRange(0, 2).Draw(t, "target"))
	d := draft(id, to, rapid.SampledFrom([]string{"x", "y"}).Draw(t, "body"))
	out, err := m.o.Accept(context.Background(), d)
	first, known := m.prints[id]
	before := m.status[id]
	switch {
	case !known:
		if err != nil || out.Status != "queued" {
			t.Fatalf("first accept of %s: %+v, %v", id, out, err)
		}
		m.knows(d)
	case first != d.Fingerprint || before == Dead || before == Aborted:
		if !mesh.IsCode(err, mesh.Reused) {
			t.Fatalf("accept of %s over a row that is %s: %+v, %v; want %s", id, before, out, err, mesh.Reused)
		}
	case err != nil || out.Duplicate != (before == Done) || out.BrokerID != m.brokerID(id, before):
		t.Fatalf("repeated accept of %s over a row that is %s: %+v, %v", id, before, out, err)
	}
	m.load(t)
}

// knows notes a row that is new.
func (m *machine) knows(d Draft) {
	m.prints[d.ClientID], m.drafts[d.ClientID] = d.Fingerprint, d
	m.order[d.TargetSpec] = append(m.order[d.TargetSpec], d.ClientID)
}

// pick is a row that is there.
func (m *machine) pick(t *rapid.T) Row {
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(m.prints))).Draw(t, "row")
	found, err := m.o.Status(context.Background(), string(id), "")
	if err != nil {
		t.Fatalf("find %s: %v", id, err)
	}
	return found.Row
}

// requeue sends a row again under an id that is new, or taken, or the one of the last time. The drain hears of it later.
func (m *machine) requeue(t *rapid.T) {
	if len(m.prints) == 0 {
		t.Skip("there is nothing to requeue")
	}
	old := m.pick(t)
	d := m.drafts[old.ClientID]
	d.ClientID = mesh.ClientID(fmt.Sprintf("id-%d", rapid.IntRange(8, 24).Draw(t, "new id")))
	_, taken := m.prints[d.ClientID]
	done, err := m.o.Requeue(context.Background(), old.ID, "tester", d)
	switch {
	case old.Status == Aborted && m.heirs[old.ClientID] == d.ClientID:
		if err != nil || done.New.ClientID != d.ClientID {
			t.Fatalf("the same requeue of %s again: %+v, %v", old.ClientID, done, err)
		}
	case old.Status == Done || old.Status == Aborted:
		if !mesh.IsCode(err, mesh.MessageSettled) {
			t.Fatalf("requeue of %s, which is %s: %v; want %s", old.ClientID, old.Status, err, mesh.MessageSettled)
		}
	case taken:
		if !mesh.IsCode(err, mesh.ClientIDInUse) {
			t.Fatalf("requeue of %s as %s, which is taken: %v; want %s", old.ClientID, d.ClientID, err, mesh.ClientIDInUse)
		}
	case err != nil:
		t.Fatalf("requeue of %s, which is %s: %v", old.ClientID, old.Status, err)
	default:
		m.heirs[old.ClientID] = d.ClientID
		m.knows(d)
	}
}

// cancel ends a row. The drain hears of it later.
func (m *machine) cancel(t *rapid.T) {
	if len(m.prints) == 0 {
		t.Skip("there is nothing to cancel")
	}
	old := m.pick(t)
	_, err := m.o.Cancel(context.Background(), old.ID, "tester")
	want := mesh.Code("")
	switch {
	case old.Status == Done || m.heirs[old.ClientID] != "":
		want = mesh.MessageSettled
	case old.Status == Inflight:
		want = mesh.MessageInflight
	}
	if want == "" && err != nil || want != "" && !mesh.IsCode(err, want) {
		t.Fatalf("cancel %s, which is %s: %v; want %q", old.ClientID, old.Status, err, want)
	}
}

// hear has the drain take in what was accepted and aborted.
func (m *machine) hear(t *rapid.T) { m.load(t) }

func (m *machine) brokerID(id mesh.ClientID, s Status) mesh.ID {
	if s == Done {
		return m.broker[id]
	}
	return ""
}

// claim writes what was decided, and claims what may go.
func (m *machine) claim(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
	picked := m.d.plan.pick(m.now, func(mesh.Key) bool { return true })
	frames, err := m.d.write(context.Background(), picked)
	if err != nil {
		t.Fatalf("write: %v", err)
	}
	for _, f := range frames {
		if f.verdict == gone {
			if m.status[f.id] != Aborted {
				t.Fatalf("claim of %s, which is %s, failed", f.id, m.status[f.id])
			}
			m.d.land(f.attempt)
			continue
		}
		if m.status[f.id] == Aborted {
			t.Fatalf("%s is sent after it was aborted", f.id)
		}
		f.req.After, f.lane.last = f.lane.last, f.id
		m.flying = append(m.flying, f)
	}
}

// answer gives the oldest frame without an answer one, as a broker that keeps its rules would, or none.
func (m *machine) answer(t *rapid.T) {
	if len(m.flying) == 0 {
		t.Skip("nothing is under way")
	}
	f := m.flying[0]
	m.flying = m.flying[1:]
	ack := protocol.Ack{ID: f.req.ID}
	var err error
	switch choice := rapid.SampledFrom([]string{"accept", "accept", "refuse", "final", "limit", "lose", "lose ack"}).Draw(t, "answer"); {
	case m.broker[f.id] != "":
		ack.MessageID, ack.Duplicate = m.broker[f.id], true
	case choice == "lose":
		err = mesh.Errorf(mesh.BrokerDown, "lost")
	case f.req.After != "" && m.broker[f.req.After] == "":
		ack.Code = mesh.OutOfOrder
	case choice == "refuse":
		ack.Code = mesh.QueueFull
	case choice == "limit":
		ack.Code = mesh.RateLimited
	case choice == "final":
		ack.Code = mesh.Forbidden
	default:
		m.broker[f.id] = mesh.ID("bm-" + string(f.id))
		m.brokered[f.req.TargetSpec] = append(m.brokered[f.req.TargetSpec], f.id)
		if ack.MessageID = m.broker[f.id]; choice == "lose ack" {
			err = context.DeadlineExceeded
		}
	}
	m.d.land(f.answered(ack, err))
}

// crash ends the process without a word and starts the next one.
func (m *machine) crash(t *rapid.T) {
	if rapid.IntRange(0, 4).Draw(t, "crash") > 0 {
		t.Skip("opening a file is slow: one in five is enough")
	}
	if err := m.o.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	m.open(t)
	m.now = m.now.Add(recoverAfter)
}

// check compares rows and model after each step.
func (m *machine) check(t *rapid.T) {
	rows, err := m.o.List(context.Background(), Filter{Limit: 500})
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	if len(rows) != len(m.prints) {
		t.Fatalf("%d rows for %d ids", len(rows), len(m.prints))
	}
	for _, r := range rows {
		if before := m.status[r.ClientID]; before != r.Status && !legal[[2]Status{before, r.Status}] {
			t.Fatalf("%s went from %q to %s", r.ClientID, before, r.Status)
		}
		m.status[r.ClientID] = r.Status
		if r.Status == Aborted && r.BrokerID != "" && r.BrokerID != m.broker[r.ClientID] {
			t.Fatalf("%s was aborted too late, as %q; the broker has it as %q", r.ClientID, r.BrokerID, m.broker[r.ClientID])
		}
		if r.Status == Done && r.BrokerID != m.broker[r.ClientID] {
			t.Fatalf("%s is done as %q, the broker has it as %q", r.ClientID, r.BrokerID, m.broker[r.ClientID])
		}
	}
	for to, ids := range m.brokered {
		at := -1
		for _, id := range ids {
			next := slices.Index(m.order[to], id)
			if next <= at {
				t.Fatalf("the broker got %v, accepted here were %v", ids, m.order[to])
			}
			at = next
		}
	}
}

func TestOutboxAgainstModel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := 0
	rapid.Check(t, func(t *rapid.T) {
		files++
		m := &machine{
			path: filepath.Join(dir, fmt.Sprintf("%d.db", files)), now: time.UnixMilli(1_700_000_000_000),
			order: map[string][]mesh.ClientID{}, prints: map[mesh.ClientID]seal.Fingerprint{}, drafts: map[mesh.ClientID]Draft{}, heirs: map[mesh.ClientID]mesh.ClientID{}, status: map[mesh.ClientID]Status{},
			broker: map[mesh.ClientID]mesh.ID{}, brokered: map[string][]mesh.ClientID{},
		}
		m.open(t)
		defer func() {
			if err := m.o.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}()
		t.Repeat(map[string]func(*rapid.T){
			"":       m.check,
			"accept": m.accept, "claim": m.claim, "answer": m.answer, "answer more": m.answer, "crash": m.crash,
			"requeue": m.requeue, "cancel": m.cancel, "hear": m.hear,
		})
	})
}
