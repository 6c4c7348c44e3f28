package queue

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/rig/disk"
)

// T14: many senders use the same few ids at once, and connections of one member take, acknowledge and drop what comes, while the
// power of the broker is cut again and again. There is an order of all that happened in which each id is one message, each
// copy has one holder at a time, and what was said to be delivered stays so.
func TestT14Linearizable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, fault := range playLinear(t, 14, false) {
			t.Error(fault)
		}
	})
}

// The same on a disk that only says that it syncs: no order can explain it.
func TestT14WithoutSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(20) {
			if len(playLinear(t, seed, true)) > 0 {
				return
			}
		}
		t.Error("nothing is seen of what was lost")
	})
}

// playLinear plays some rounds, and says what cannot be explained.
func playLinear(t *testing.T, seed uint64, lies bool) []string {
	t.Helper()
	l := &linear{
		t: t, rnd: rand.New(rand.NewPCG(seed, 1)), lies: lies,
		accepts: map[string][]porcupine.Operation{}, copies: map[mesh.ID][]porcupine.Operation{},
	}
	dir := t.TempDir()
	on, err := disk.Mount(dir, seed)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, set: settings(), path: filepath.Join(dir, "broker.db")}
	w.start()
	w.mesh("m", "ann", "bob")
	for range 4 {
		dir, on = l.round(w, on)
		w.path = filepath.Join(dir, "broker.db")
		w.start()
	}
	w.end()
	on.Unmount()
	return l.check()
}

// linear is what happened, in the time of a counter.
type linear struct {
	t     *testing.T
	clock atomic.Int64
	lies  bool // the disk

	mu      sync.Mutex // guards what follows; held over a cut
	rnd     *rand.Rand
	cut     bool                              // of this round: what comes now nobody hears of
	began   int64                             // of this round
	accepts map[string][]porcupine.Operation  // by client id
	copies  map[mesh.ID][]porcupine.Operation // by message
}

// The operations on a copy of a message.
type (
	taken    struct{ conn mesh.ConnID } // it was pushed to a connection
	acked    struct{ conn mesh.ConnID } // a connection acknowledged it; that takes its time
	dropped  struct{ conn mesh.ConnID } // a connection ended; that takes its time
	looked   struct{}                   // somebody asked whether it is delivered
	powerCut struct{}
)

func (l *linear) upTo(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rnd.IntN(n)
}

// heard notes something that was heard of, unless the power was cut.
func (l *linear) heard(note func(now int64)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cut {
		note(l.clock.Add(1))
	}
	return !l.cut
}

// round runs a broker until the power is cut, and returns what is left.
func (l *linear) round(w *world, on *disk.Disk) (dir string, after *disk.Disk) {
	dir = l.t.TempDir()
	cut := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.cut {
			return
		}
		l.cut = true
		var err error
		if after, err = on.Leave(dir, disk.PowerCut); err != nil {
			l.t.Error(err)
		}
	}
	l.began = l.clock.Add(1)
	var ops atomic.Int64
	at := int64(10 + l.upTo(60))
	var all sync.WaitGroup
	for i := range 8 {
		p := w.newPeer("m", "ann", fmt.Sprint("ann", i))
		p.attach()
		all.Go(func() { l.send(p) })
	}
	for i := range 3 {
		p := w.newPeer("m", "bob", fmt.Sprint("bob", i))
		p.attach()
		all.Go(func() { l.take(p) })
	}
	on.Set(func(op disk.Op, path string) error {
		if ops.Add(1) == at {
			cut()
		}
		if l.lies && op == disk.Sync && strings.HasSuffix(path, "-wal") {
			return disk.ErrLie
		}
		return nil
	})
	all.Wait()
	cut()
	w.end()
	on.Unmount()
	l.over()
	return dir, after
}

// over ends a round: what takes its time has happened, or will not, and what was unknown may have.
func (l *linear) over() {
	now := l.clock.Add(1)
	for id, ops := range l.copies {
		for i := range ops {
			if ops[i].Return == math.MaxInt64 {
				ops[i].Return = now
			}
		}
		again := l.clock.Add(1)
		l.copies[id] = append(ops, porcupine.Operation{Input: powerCut{}, Call: again, Return: l.clock.Add(1)})
	}
	l.cut = false
}

// send uses ids that others use too, and asks how far messages are.
func (l *linear) send(p *peer) {
	for range 12 {
		req := request(string(key("bob")), fmt.Sprint("id", l.upTo(40)))
		req.RequestFingerprint = strings.Repeat([]string{"aa", "aa", "bb"}[l.upTo(3)], 32)
		op := porcupine.Operation{ClientId: int(p.conn.ID), Input: req.RequestFingerprint, Call: l.clock.Add(1), Return: math.MaxInt64}
		ack := p.try(req)
		known := l.heard(func(now int64) { op.Output, op.Return = ack, now })
		l.mu.Lock()
		l.accepts[req.ID] = append(l.accepts[req.ID], op)
		l.mu.Unlock()
		if !known {
			return
		}
		if ack.Queued {
			l.look(p, ack.MessageID)
		}
	}
}

func (l *linear) look(p *peer, message mesh.ID) {
	op := porcupine.Operation{Input: looked{}, Call: l.clock.Add(1)}
	state := p.status(string(message)).Recipients[0].State
	l.heard(func(now int64) {
		op.Output, op.Return = state == mesh.StateDelivered, now
		l.copies[message] = append(l.copies[message], op)
	})
}

// take takes what comes over a connection, acknowledges some of it, and drops the connection now and then.
func (l *linear) take(p *peer) {
	mine := map[mesh.ID]bool{}
	note := func(message mesh.ID, what any) bool {
		return l.heard(func(now int64) {
			op := porcupine.Operation{ClientId: int(p.conn.ID), Input: what, Call: now, Return: math.MaxInt64}
			if _, came := what.(taken); came {
				op.Call, op.Return = l.began, now
			}
			l.copies[message] = append(l.copies[message], op)
		})
	}
	for range 40 {
		<-time.After(time.Millisecond)
		for _, m := range decoded[protocol.PushedMessage](p, "push", p.take()) {
			if !note(m.MessageID, taken{p.conn.ID}) {
				return
			}
			mine[m.MessageID] = true
			if l.upTo(2) == 0 && note(m.MessageID, acked{p.conn.ID}) {
				p.ackIDs(m.MessageID, m.ClientMessageID)
			}
		}
		if l.upTo(8) == 0 {
			for message := range mine {
				note(message, dropped{p.conn.ID})
			}
			p.w.q.Detach(p.conn.ID, true)
			return
		}
	}
}

// accepted is one id: the message that it is, with the fingerprint that came first. The id of a message that nobody was told of
// is empty.
type accepted struct {
	used        bool
	fingerprint string
	message     mesh.ID
}

// acceptModel is how an id behaves when one send comes after the other.
var acceptModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{accepted{}} },
	Step: func(state, input, output any) []any {
		was, fingerprint := state.(accepted), input.(string)
		ack, known := output.(protocol.Ack)
		now := accepted{true, fingerprint, ack.MessageID}
		switch {
		case !known && was.used:
			return []any{was}
		case !known:
			return []any{was, now}
		case !was.used && ack.Queued && !ack.Duplicate:
			return []any{now}
		case was.used && was.fingerprint == fingerprint && ack.Duplicate && (was.message == "" || was.message == ack.MessageID):
			return []any{now}
		case was.used && was.fingerprint != fingerprint && ack.Code == mesh.Reused:
			return []any{was}
		}
		return nil
	},
}

// held is a copy: who has it, and whether it is delivered.
type held struct {
	conn      mesh.ConnID // 0 for nobody
	delivered bool
	said      bool // that it is; so it is on the disk
}

// copyModel is how a copy behaves when one thing happens after the other.
var copyModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{held{}} },
	Step: func(state, input, output any) []any {
		h := state.(held)
		switch in := input.(type) {
		case taken:
			if h.conn != 0 || h.delivered {
				return nil
			}
			h.conn = in.conn
		case acked:
			h.delivered = h.delivered || h.conn == in.conn
		case dropped:
			if h.conn == in.conn {
				h.conn = 0
			}
		case looked:
			if output.(bool) != h.delivered {
				return nil
			}
			h.said = h.delivered
		case powerCut:
			h.conn = 0
			if h.delivered && !h.said {
				return []any{held{}, held{delivered: true}}
			}
		}
		return []any{h}
	},
}

// checkTime bounds the search for an order.
const checkTime = 20 * time.Second

// check lists what has no order.
func (l *linear) check() (faults []string) {
	unknown, total := 0, 0
	for id, ops := range l.accepts {
		for _, op := range ops {
			if op.Output == nil {
				unknown++
			}
		}
		if got := porcupine.CheckOperationsTimeout(acceptModel.ToModel(), ops, checkTime); got != porcupine.Ok {
			faults = append(faults, fmt.Sprintf("sends of %s: %s, want an order of them: %+v", id, got, ops))
		}
	}
	for id, ops := range l.copies {
		total += len(ops)
		if got := porcupine.CheckOperationsTimeout(copyModel.ToModel(), ops, checkTime); got != porcupine.Ok {
			faults = append(faults, fmt.Sprintf("copy of %s: %s, want an order: %+v", id, got, ops))
		}
	}
	l.t.Logf("%d ids with %d answers lost, %d copies with %d operations", len(l.accepts), unknown, len(l.copies), total)
	if !l.lies && (unknown == 0 || len(l.copies) < 10) {
		faults = append(faults, "too little happened for the test to mean something")
	}
	return faults
}

// The models refuse what must not happen.
func TestT14ModelsRefuse(t *testing.T) {
	t.Parallel()
	first, second := protocol.Ack{MessageID: "a", Queued: true}, protocol.Ack{MessageID: "b", Queued: true}
	at := func(i int64, input, output any) porcupine.Operation {
		return porcupine.Operation{Input: input, Output: output, Call: 2 * i, Return: 2*i + 1}
	}
	for name, bad := range map[string]struct {
		model porcupine.NondeterministicModel
		ops   []porcupine.Operation
	}{
		"two messages of one id":  {acceptModel, []porcupine.Operation{at(1, "x", first), at(2, "x", second)}},
		"a forgotten id":          {acceptModel, []porcupine.Operation{at(1, "x", first), at(2, "y", second)}},
		"two holders":             {copyModel, []porcupine.Operation{at(1, taken{1}, nil), at(2, taken{2}, nil)}},
		"delivered, and again":    {copyModel, []porcupine.Operation{at(1, taken{1}, nil), at(2, acked{1}, nil), at(3, dropped{1}, nil), at(4, taken{2}, nil)}},
		"delivered by a stranger": {copyModel, []porcupine.Operation{at(1, taken{1}, nil), at(2, acked{2}, nil), at(3, looked{}, true)}},
		"said and forgotten": {copyModel, []porcupine.Operation{
			at(1, taken{1}, nil), at(2, acked{1}, nil), at(3, looked{}, true), at(4, powerCut{}, nil), at(5, looked{}, false),
		}},
	} {
		if porcupine.CheckOperations(bad.model.ToModel(), bad.ops) {
			t.Errorf("%s: the model takes it", name)
		}
	}
}
