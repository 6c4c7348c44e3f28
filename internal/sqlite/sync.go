package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
)

// Flush makes what was written to a log last. It is a variable for tests that lay a disk of their own below, before any file
// is open.
var Flush = (*os.File).Sync

// syncer makes commits last. SQLite runs with synchronous=NORMAL: a COMMIT writes the log and does not sync it. The syncer
// syncs the log itself, which lasts for all that was committed before, and answers after that. So the committer works on
// the next group while the disk works on this one. It waits with a committed group until the one before is answered:
// there are never more than two, and a group is what came meanwhile.
type syncer struct {
	db     *DB
	groups chan []*op    // committed, in order; without a buffer
	owed   atomic.Int32  // groups handed over and not answered
	ended  chan struct{} // closed when nobody takes groups any more
	log    *os.File      // nil until there is one
	sync   func() error

	mu      sync.Mutex
	moved   sync.Cond // with mu: of what follows, and of a store that fails
	begun   uint64    // commits
	settled uint64    // of them, in their order: on the disk, or undone
}

func newSyncer(db *DB) *syncer {
	s := &syncer{db: db, groups: make(chan []*op), ended: make(chan struct{})}
	s.sync = s.syncLog
	s.moved.L = &s.mu
	return s
}

// run ends when groups is closed, or with a done function that ended its goroutine, as a failing test does.
func (s *syncer) run() {
	var group []*op
	defer func() {
		s.db.abandon(group)
		close(s.ended)
	}()
	for group = range s.groups {
		s.finish(group)
		s.owed.Add(-1)
	}
	group = nil
}

// finish syncs the log and answers ops. It runs on the syncer's goroutine, or on the committer's while that is idle.
func (s *syncer) finish(ops []*op) {
	err := s.db.Failure()
	if err == nil && len(ops) > 0 {
		if err = s.sync(); err != nil {
			s.db.fail(err) // what is on the disk is unknown now, whatever a second sync says
			err = s.db.Failure()
		}
	}
	if len(ops) > 0 {
		s.count(0, 1)
	}
	for _, o := range ops {
		o.answer(err)
	}
}

// count adds to the commits that have begun, which is before a reader can see them, and to those that are settled.
func (s *syncer) count(begun, settled uint64) {
	s.mu.Lock()
	s.begun += begun
	s.settled += settled
	s.mu.Unlock()
	s.moved.Broadcast()
}

// wait returns when every commit that a reader may have seen until now is on the disk, or the store has failed.
func (s *syncer) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for seen := s.begun; s.settled < seen && s.db.Failure() == nil; {
		s.moved.Wait()
	}
}

// answer sees to ops whose transaction was committed, after those before. The slice is the syncer's. Where nobody waits for the committer it does the work itself: waking another goroutine takes time.
func (s *syncer) answer(ops []*op) {
	if s.owed.Load() == 0 && len(s.db.queue) == 0 {
		s.finish(ops)
		return
	}
	s.hand(ops)
}

// hand gives ops to the syncer once it has answered those before.
func (s *syncer) hand(ops []*op) {
	s.owed.Add(1)
	select {
	case s.groups <- ops:
	case <-s.ended:
		s.db.abandon(ops)
	}
}

// undo follows a commit that did not happen. It returns when all that was handed over is answered.
func (s *syncer) undo() {
	if s.owed.Load() > 0 {
		s.hand(nil)
	}
	s.count(0, 1)
}

// close waits for those who are waiting and closes the log, which must happen before SQLite deletes it.
func (s *syncer) close() error {
	close(s.groups)
	<-s.ended
	if s.log == nil {
		return nil
	}
	return s.log.Close()
}

// syncLog syncs the log. Its file stays the same one while a connection is open, and SQLite locks nothing in it.
func (s *syncer) syncLog() error {
	if s.log == nil {
		f, err := os.OpenFile(s.db.path+"-wal", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		s.log = f
	}
	return Flush(s.log)
}

// settle makes last what a process that was killed has left in its log: whoever reads it may tell others of it.
func settle(path string) error {
	f, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(Flush(f), f.Close())
}
