package queue

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// task is a change of the store that must stand in line with what is being accepted.
type task struct {
	change func(*sqlite.Tx, *ledger) error // on the committer's goroutine; its error refuses the whole group
	after  func()                          // on the loop, when the change is on the disk
	done   chan error
}

func (t *task) apply(tx *sqlite.Tx, l *ledger) error { return t.change(tx, l) }

// finish takes note of how the group of the task ended.
func (t *task) finish(err error) {
	if err == nil {
		t.after()
	}
	t.done <- err
}

// commit makes a change and returns when it is on the disk and has its effects.
func (q *Queue) commit(ctx context.Context, change func(*sqlite.Tx, *ledger) error, after func()) error {
	if err := q.loop.enter(ctx); err != nil {
		return err
	}
	defer q.loop.leave()
	t := &task{change: change, after: after, done: make(chan error, 1)}
	q.writer.add(t)
	return refusal(<-t.done) // the loop does not end before: this holds a slot
}
