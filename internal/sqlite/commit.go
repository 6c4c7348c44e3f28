package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/claudemesh/claudemesh/internal/logkey"
)

// op is one function on its way through the committer.
type op struct {
	fn    func(*Tx) error
	done  func(error) // nil once called
	err   error
	owned atomic.Bool // by the committer, which will answer, or by a caller who left before that
}

// Write runs fn in the next group's transaction and returns after that group is on the disk. An error of fn
// undoes what fn did, and only that, and is returned. When ctx ends before the group begins, fn never runs.
// A panic of fn goes on in the caller, as a *PanicError.
//
// Fn runs once, on the committer's goroutine: it must be short, wait for nothing, and call neither Write
// nor Close. ErrFull and ErrBusy changed nothing; after ErrStoreFailed the outcome is unknown until restart.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	answer := make(chan error, 1)
	o := &op{fn: fn, done: func(err error) { answer <- err }}
	if err := db.enqueue(ctx, o); err != nil {
		return err
	}
	var err error
	select {
	case err = <-answer:
	case <-ctx.Done():
		if o.owned.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		err = <-answer
	}
	if p, ok := errors.AsType[*PanicError](err); ok {
		panic(p)
	}
	return err
}

// Submit queues fn as Write does and returns. It blocks only while the queue is full, until ctx ends.
// When it returns nil, done is called once, in the order of submission, after the group that held fn is on the
// disk; by then later functions may have run, unless the error says that the group was undone. Done must not block:
// until it returns nobody else is answered. It must not call Write or Close, and Submit only in a goroutine of its own.
func (db *DB) Submit(ctx context.Context, fn func(*Tx) error, done func(error)) error {
	return db.enqueue(ctx, &op{fn: fn, done: func(err error) {
		if p, ok := errors.AsType[*PanicError](err); ok {
			db.log.Error("panic in a write", slog.String(logkey.Err, fmt.Sprintf("%v\n%s", p.Value, p.Stack)))
		}
		done(err)
	}})
}

// enqueue sends under the read lock, so that Close can close the queue once nobody is sending.
func (db *DB) enqueue(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return ErrClosed
	}
	if err := db.Failure(); err != nil {
		return err
	}
	select {
	case db.queue <- o:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitLoop owns the writer. It ends when the queue is closed and empty.
func (db *DB) commitLoop() {
	defer close(db.committed)
	var group []*op
	defer func() {
		if p := recover(); p != nil {
			panic(p) // of a done function: not ours to keep
		}
		// The queue is empty, or a function ended this goroutine with runtime.Goexit, as a failing test does.
		db.abandonAll(group)
	}()
	for first := range db.queue {
		group = db.collect(first)
		for rest := group; len(rest) > 0; {
			rest = db.runGroup(rest)
		}
		db.writer.trim()
		db.checkpoint()
	}
	group = nil
}

// collect adds what is waiting to first, and never waits for more: the group is what came during the
// previous fsync. Ops whose callers left are skipped.
func (db *DB) collect(first *op) (group []*op) {
	if first.owned.CompareAndSwap(false, true) {
		group = append(group, first)
	}
	for len(group) < db.maxBatch {
		select {
		case o, ok := <-db.queue:
			if !ok {
				return group
			}
			if o.owned.CompareAndSwap(false, true) {
				group = append(group, o)
			}
		default:
			return group
		}
	}
	return group
}

// runGroup runs ops in one transaction, commits it, and has them answered in order. When the disk is full the
// transaction is lost: it answers the ops up to that point and returns the rest, for a transaction of their own.
func (db *DB) runGroup(ops []*op) (rest []*op) {
	err := db.Failure()
	if err == nil {
		err = db.control("BEGIN IMMEDIATE")
	}
	n := len(ops)
	for i := 0; i < len(ops) && err == nil; i++ {
		if err = db.runOp(ops[i], len(ops) > 1); err != nil {
			n = i + 1
		}
	}
	db.syncer.count(1, 0)
	if err == nil {
		err = db.control("COMMIT")
	}
	if err == nil {
		db.syncer.answer(ops)
		return nil
	}
	_ = db.writer.exec(context.Background(), "ROLLBACK") // fails where SQLite has rolled back already
	db.syncer.undo()
	for _, o := range ops[:n] {
		o.answer(err)
	}
	return ops[n:]
}

// answer tells an op how it ended: with its own error, or with that of its group.
func (o *op) answer(group error) {
	if o.err == nil {
		o.err = group
	}
	done := o.done
	o.done = nil
	done(o.err)
}

// runOp runs one function and keeps its error in the op. What it returns ends the group.
func (db *DB) runOp(o *op, guarded bool) error {
	tx := &Tx{c: db.writer, guarded: guarded}
	o.err = call(o.fn, tx)
	tx.end()
	tx.settle(o.err)
	if tx.err != nil {
		err := db.judge(tx.err, tx.harm)
		if _, panicked := errors.AsType[*PanicError](o.err); !panicked {
			o.err = err
		}
		return err
	}
	if guarded {
		return nil
	}
	return o.err
}

// call runs fn and turns a panic into an error.
func call(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return fn(tx)
}

// control begins or commits. Any error of COMMIT but a full disk leaves open what is on the disk, so it
// ends the store.
func (db *DB) control(text string) error {
	err, harm := wrap(db.writer.exec(context.Background(), text))
	if err == nil {
		return nil
	}
	if text == "COMMIT" && !errors.Is(err, ErrFull) {
		harm = store
	}
	return db.judge(err, harm)
}

// judge ends the store if the harm reaches it.
func (db *DB) judge(err error, harm damage) error {
	if errors.Is(err, ErrFull) {
		db.moving.pages = checkpointPages // a log that starts again needs no new room
	}
	if harm < store {
		return err
	}
	db.fail(err)
	return db.Failure()
}

// fail ends the store; the first reason stays.
func (db *DB) fail(reason error) {
	err := fmt.Errorf("%w: %w", ErrStoreFailed, reason)
	if db.failed.why.CompareAndSwap(nil, &err) {
		close(db.failed.known)
		db.syncer.count(0, 0)
		db.log.Error("store failed, nothing is written until restart",
			slog.String(logkey.Path, db.path), slog.Any(logkey.Err, reason))
	}
}

// breakage is why nothing can be written any more.
type breakage struct {
	why   atomic.Pointer[error] // nil while the store can write
	known chan struct{}         // closed when it cannot any more
}

// Failed is closed when the store has failed: nothing is written until the file is opened again.
func (db *DB) Failed() <-chan struct{} { return db.failed.known }

// Failure is nil while the store can write, else ErrStoreFailed with the reason.
func (db *DB) Failure() error {
	if err := db.failed.why.Load(); err != nil {
		return *err
	}
	return nil
}

// abandon answers ops that nobody else will, after a function ended the goroutine that ran it.
func (db *DB) abandon(group []*op) {
	if len(group) == 0 {
		return
	}
	db.fail(errors.New("a function ended the goroutine that ran it"))
	for _, o := range group {
		if o != nil && o.done != nil {
			o.answer(db.Failure())
		}
	}
}

// abandonAll also answers whoever comes until Close: the committer is gone.
func (db *DB) abandonAll(group []*op) {
	if len(group) == 0 {
		return
	}
	db.abandon(group)
	for o := range db.queue {
		if o.owned.CompareAndSwap(false, true) {
			o.answer(db.Failure())
		}
	}
}
