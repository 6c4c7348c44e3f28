package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"log/slog"
	"sync/atomic"

	modernc "modernc.org/sqlite"

	"github.com/claudemesh/claudemesh/internal/logkey"
)

// A checkpoint moves committed pages from the log into the file. SQLite's own runs inside COMMIT, where every
// writer waits for it, so ours runs on a connection and a goroutine of its own. Such a checkpoint never reaches the
// end of a log that keeps growing, and only a log that was moved whole starts again from its beginning. So
// when the log has grown long the committer moves the few pages that are left, between two groups.
const (
	checkpointPages = 1000 // written since the last checkpoint: time for one
	longLogPages    = 4000 // 16 MiB
)

type checkpointer struct {
	dsn      string
	wake     chan struct{} // holds one; a second wish while one is pending adds nothing
	ended    chan struct{}
	written  int          // pages since the last wish; the committer's
	logPages atomic.Int64 // length of the log when the last checkpoint ended
}

// checkpointLoop runs checkpoints beside the committer until Close.
func (db *DB) checkpointLoop() {
	defer close(db.ckpt.ended)
	var c *conn
	for range db.ckpt.wake {
		if c == nil {
			var err error
			if c, err = connect(context.Background(), db.ckpt.dsn); err != nil {
				db.log.Warn("checkpoint put off", slog.String(logkey.Path, db.path), slog.Any(logkey.Err, err))
				continue
			}
		}
		db.ckpt.logPages.Store(db.checkpoint(c))
	}
	if c != nil {
		_ = c.close() // it wrote nothing of its own
	}
}

// checkpointDue runs on the committer after each group.
func (db *DB) checkpointDue() {
	if db.failure() != nil {
		return
	}
	if db.ckpt.logPages.Load() >= longLogPages {
		db.checkpoint(db.writer)
		db.ckpt.logPages.Store(0)
		db.ckpt.written = 0
		return
	}
	// An unknown counter is the only error: then no page is counted, and Close makes the one checkpoint.
	pages, _, _ := db.writer.dc.(modernc.DBStatus).Status(modernc.DBStatusCacheWrite, true)
	db.ckpt.written += pages
	if db.ckpt.written >= checkpointPages {
		db.wishCheckpoint()
	}
}

func (db *DB) wishCheckpoint() {
	db.ckpt.written = 0
	select {
	case db.ckpt.wake <- struct{}{}:
	default:
	}
}

// checkpoint moves what no reader and no writer holds, waits for nobody, and returns the length of the log in
// pages. Damage ends the store: a page that did not reach the file must not be forgotten by the log.
func (db *DB) checkpoint(c *conn) int64 {
	var logPages int64
	err, harm := wrap(c.query(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)", func(v []driver.Value) error {
		logPages, _ = v[1].(int64)
		return nil
	}))
	switch {
	case harm == store:
		db.fail(err)
	case err != nil && !errors.Is(err, ErrBusy):
		db.log.Warn("checkpoint put off", slog.String(logkey.Path, db.path), slog.Any(logkey.Err, err))
	}
	return logPages
}
