package queue

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// loop is the goroutine that owns the hub and the connections. Everything that happens to them comes through its
// inbox; nothing on it waits for a client, the disk, or a mailbox to be read.
type loop struct {
	now    mesh.Clock
	log    *slog.Logger
	dir    *directory
	writer *writer
	drain  *drain
	count  func(config.Bound, int)
	spent  *spent
	in     *inbox
	watch  Watcher

	// slots admits what clients send, so that what waits for the disk and the loop is bounded. At the bound their
	// readers wait.
	slots chan struct{}
	over  chan struct{} // closed when ctx of Run has ended

	hub    *hub.Hub
	lines  map[hub.ConnID]*line // the connections that the hub knows
	parted parted
	faults struct{ writes, reads spell } // of groups, and of mailboxes
}

const (
	maxUnderWay = 2048     // frames of clients that were read and not answered
	windowRows  = 256      // pushes that one connection has not acknowledged
	windowBytes = 1 << 20  // and their frames together; less than an Outbound holds
	heldBytes   = 64 << 20 // frames of all connections that wait for a window; what is over is read from the store
)

func newLoop(opt Options, dir *directory) *loop {
	if opt.Watch == nil {
		opt.Watch = nobody{}
	}
	l := &loop{
		watch: opt.Watch,
		now:   opt.Now, log: opt.Log, dir: dir, in: newInbox(), count: opt.Reached,
		slots: make(chan struct{}, maxUnderWay),
		over:  make(chan struct{}),
		hub:   hub.New(hub.Options{Lease: opt.Settings.Lease, Rows: windowRows, Bytes: windowBytes, Held: heldBytes}),
		lines: map[hub.ConnID]*line{}, parted: parted{of: map[store.Box]*seen{}, ended: map[store.Box]estate{}},
	}
	l.faults.writes = spell{begin: "messages are refused: a group was not stored", end: "messages are stored again"}
	l.faults.reads = spell{begin: "mailboxes wait: one was not read", end: "mailboxes are read again"}
	return l
}

// countMet counts the bound that a refusal is for, if it is for one.
func (l *loop) countMet(err error) {
	var m met
	if errors.As(err, &m) {
		l.count(m.bound, 1)
	}
}

// run does what is in the inbox until ctx has ended and nothing is under way any more.
func (l *loop) run(ctx context.Context, lease time.Duration) {
	tick := time.NewTicker(max(10*time.Millisecond, lease/16)) // a lease may last that much longer
	defer tick.Stop()
	ended := ctx.Done()
	var items []func()
	for {
		select {
		case <-l.in.wake:
			items = l.in.take(items)
			for i, item := range items {
				item()
				items[i] = nil
			}
		case <-tick.C:
			l.do(l.hub.Tick(l.now()))
			l.storeParted(l.now().Add(-partedFor))
			l.parted.settle(l)
			l.faults.writes.settle(l.now(), l.log)
			l.faults.reads.settle(l.now(), l.log)
		case <-ended:
			ended, l.parted.none = nil, true
			close(l.over)
			l.storeParted(l.now())
		}
		if ended == nil && len(l.slots) == 0 && l.writer.pending.Load() == 0 && l.in.closeIfEmpty() {
			return
		}
	}
}

// unfold returns when no copy of a mailbox, or none at all, waits without a row of its own.
func (l *loop) unfold(ctx context.Context, box *store.Box) error {
	u := &unfold{barrier: barrier{make(chan error, 1)}, box: box}
	l.writer.add(u)
	select {
	case err := <-u.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter takes a slot for a frame of a client. Who has one is answered before the loop ends.
func (l *loop) enter(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
	case <-l.over:
		return errOver()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-l.over: // the loop may have looked at the slots already
		l.leave()
		return errOver()
	default:
		return nil
	}
}

// leave gives a slot back.
func (l *loop) leave() {
	<-l.slots
	signal(l.in.wake) // it may have been the last one that the loop waits for
}

func errOver() error { return mesh.Errorf(mesh.ShuttingDown, "the broker is stopping") }

// ask runs f on the loop and returns its answer.
func ask[T any](ctx context.Context, l *loop, f func() T) (T, error) {
	var none T
	answer := make(chan T, 1)
	if !l.in.post(func() { answer <- f() }) {
		return none, errOver()
	}
	select {
	case a := <-answer:
		return a, nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
