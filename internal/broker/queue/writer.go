package queue

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// op is one change of the store. Apply runs on the committer's goroutine; what it learns it keeps in the op.
type op interface {
	apply(tx *sqlite.Tx, l *ledger) error
}

// writer gathers ops while the committer is busy and hands them to it as one function, so that a savepoint and a
// place in its queue are paid once a batch and not once a message. Ops keep the order in which they were added.
type writer struct {
	db   *sqlite.DB
	done func(ops []op, err error) // after the group is on the disk, or was refused; must not block, and leads to ask

	pending atomic.Int64 // added, and not yet taken note of by the loop

	mu      sync.Mutex
	waiting []op
	asked   bool // the committer was asked to take what waits
	timed   bool // it will be in a moment
	running int  // batches that were taken and are not on the disk
	last    int  // size of the last one

	ledger *ledger     // the committer's
	lost   atomic.Bool // the ledger holds what did not come to the disk
}

// batch is what the committer took of the waiting ops at once.
type batch struct {
	ops   []op
	taken bool
}

// What nobody waits for shares the group of the next message, or goes after this time or with so many others: a
// sync of its own would only keep that message waiting. Losing it with the process costs a repetition.
const (
	lazyDelay = 2 * time.Millisecond
	lazyOps   = 512
)

func newWriter(db *sqlite.DB, l *ledger, done func([]op, error)) *writer {
	return &writer{db: db, ledger: l, done: done}
}

// add queues an op that somebody waits for. It blocks only while other users of the store fill its queue.
func (w *writer) add(o op) {
	w.pending.Add(1)
	w.mu.Lock()
	w.waiting = append(w.waiting, o)
	w.mu.Unlock()
	w.ask()
}

// addLazy queues ops that can wait for others.
func (w *writer) addLazy(ops ...op) {
	w.pending.Add(int64(len(ops)))
	w.mu.Lock()
	w.waiting = append(w.waiting, ops...)
	now := len(w.waiting) >= lazyOps
	start := !now && !w.timed && !w.asked
	w.timed = w.timed || start
	w.mu.Unlock()
	switch {
	case now:
		w.ask()
	case start:
		time.AfterFunc(lazyDelay, func() {
			w.mu.Lock()
			w.timed = false
			w.mu.Unlock()
			w.ask()
		})
	}
}

// ask takes a place in the committer's queue for what waits, unless it has one. While the disk works on a batch the
// next one begins when it is half as large: a commit has its price.
func (w *writer) ask() {
	w.mu.Lock()
	first := !w.asked && len(w.waiting) > 0 && (w.running == 0 || len(w.waiting) >= w.last/2)
	w.asked = w.asked || first
	w.mu.Unlock()
	if !first {
		return
	}
	b := &batch{}
	err := w.db.Submit(context.Background(), func(tx *sqlite.Tx) error { return w.run(tx, b) }, func(err error) { w.committed(b, err) })
	if err != nil {
		w.committed(b, err)
	}
}

func (w *writer) take() []op {
	w.mu.Lock()
	defer w.mu.Unlock()
	ops := w.waiting
	w.waiting, w.asked = nil, false
	w.running, w.last = w.running+1, len(ops)
	return ops
}

// run applies what has gathered until now, in one transaction.
func (w *writer) run(tx *sqlite.Tx, b *batch) error {
	b.ops, b.taken = w.take(), true
	if w.lost.Swap(false) {
		w.ledger.forget()
	}
	err := w.apply(tx, b.ops)
	if err != nil {
		w.ledger.forget()
	}
	return err
}

func (w *writer) apply(tx *sqlite.Tx, ops []op) error {
	if err := w.ledger.load(tx); err != nil {
		return err
	}
	for _, o := range ops {
		if err := o.apply(tx, w.ledger); err != nil {
			return err
		}
	}
	return w.ledger.settle(tx)
}

// committed follows run, or comes alone when the transaction could not begin. The next run may be under way, unless
// this one was undone.
func (w *writer) committed(b *batch, err error) {
	if !b.taken {
		b.ops = w.take()
	}
	if err != nil {
		w.lost.Store(true)
	}
	w.mu.Lock()
	w.running--
	w.mu.Unlock()
	w.done(b.ops, err)
}

// refusal is what a sender is told of an error of the store.
func refusal(err error) error {
	switch {
	case errors.Is(err, sqlite.ErrFull):
		return mesh.Errorf(mesh.StorageFull, "the broker's disk is full")
	case errors.Is(err, sqlite.ErrStoreFailed), errors.Is(err, sqlite.ErrClosed):
		return mesh.Errorf(mesh.StoreFailed, "the broker cannot write until it is restarted")
	case errors.Is(err, sqlite.ErrBusy):
		return mesh.Errorf(mesh.StoreLocked, "the broker's store is in use")
	}
	return err
}
