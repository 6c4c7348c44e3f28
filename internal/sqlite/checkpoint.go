package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"log/slog"

	modernc "modernc.org/sqlite"

	"github.com/claudemesh/claudemesh/internal/logkey"
)

// checkpointPages is how many pages go into the log between two checkpoints: SQLite's own number, and about
// 4 ms of work. Four times as many give a seventh more writes a second under full load, and double its p99.
const checkpointPages = 1000

// checkpoint is how far the next one is.
type checkpoint struct {
	pages int  // written since the last one
	late  bool // the last one did not come about, which was said
}

// checkpoint moves what the log has gathered into the file, once that is enough. SQLite's own checkpoint runs
// inside COMMIT, where those whose writes are on the disk wait for it, and hides its errors. This one runs on
// the committer, after everybody was answered. It waits for no reader; what one still needs stays in the log.
func (db *DB) checkpoint() {
	// An unknown counter is the only error: then no page is counted, and Close makes the one checkpoint.
	pages, _, _ := db.writer.dc.(modernc.DBStatus).Status(modernc.DBStatusCacheWrite, true)
	db.moving.pages += pages
	if db.moving.pages < checkpointPages || db.Failure() != nil {
		return
	}
	db.moving.pages = 0
	err, harm := wrap(db.writer.query(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)",
		func([]driver.Value) error { return nil }))
	switch {
	case harm == store:
		db.fail(err) // a page that did not reach the file must not be forgotten by the log
	case err == nil:
		db.moving.late = false
	case !errors.Is(err, ErrBusy) && !db.moving.late:
		db.moving.late = true
		db.log.Warn("checkpoint put off", slog.String(logkey.Path, db.path), slog.Any(logkey.Err, err))
	}
}
