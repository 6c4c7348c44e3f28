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
// place in its queue are paid once a group and not once a message. Ops keep the order in which they were added.
type writer struct {
	db   *sqlite.DB
	done func(ops []op, err error) // after the group is on the disk, or was refused; must not block

	pending atomic.Int64 // added, and not yet taken note of by the loop

	mu      sync.Mutex
	waiting []op
	asked   bool // the committer was asked to take what waits
	timed   bool // it will be in a moment

	running []op    // the committer's
	ledger  *ledger // the committer's
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

// addLazy queues an op that can wait for others.
func (w *writer) addLazy(o op) {
	w.pending.Add(1)
	w.mu.Lock()
	w.waiting = append(w.waiting, o)
	now, start := len(w.waiting) >= lazyOps, !w.timed && !w.asked
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

// ask takes a place in the committer's queue for what waits, unless it has one.
func (w *writer) ask() {
	w.mu.Lock()
	first := !w.asked && len(w.waiting) > 0
	w.asked = w.asked || first
	w.mu.Unlock()
	if !first {
		return
	}
	if err := w.db.Submit(context.Background(), w.run, w.committed); err != nil {
		w.done(w.take(), err)
	}
}

func (w *writer) take() []op {
	w.mu.Lock()
	defer w.mu.Unlock()
	ops := w.waiting
	w.waiting, w.asked = nil, false
	return ops
}

// run applies what has gathered until now, in one transaction.
func (w *writer) run(tx *sqlite.Tx) error {
	w.running = w.take()
	if err := w.ledger.load(tx); err != nil {
		return err
	}
	for _, o := range w.running {
		if err := o.apply(tx, w.ledger); err != nil {
			return err
		}
	}
	return nil
}

// committed follows run, or comes alone when the transaction could not begin.
func (w *writer) committed(err error) {
	ops := w.running
	w.running = nil
	if ops == nil {
		ops = w.take()
	}
	if err != nil {
		w.ledger.forget()
	}
	w.done(ops, err)
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
