// Package outbox keeps what this user sends until the broker has it. A row leaves in one of two ways: accepted by the
// broker, or dead with a reason; its client id is never free again.
package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Options says where the outbox lies. All fields but Keep are required.
type Options struct {
	Path string // paths.Daemon.Outbox
	Now  mesh.Clock
	Log  *slog.Logger
	Keep time.Duration // how long bodies stay that nobody needs any more; 0 means 7 days

	newID func(time.Time) mesh.ClientID // of tests; else mesh.NewClientID
}

// Outbox is the open database. Its methods may be called from any goroutine.
type Outbox struct {
	db    *sqlite.DB
	now   mesh.Clock
	log   *slog.Logger
	keep  time.Duration
	newID func(time.Time) mesh.ClientID
	open  atomic.Int64 // rows pending or inflight
	watch watch
	wakes wakes
}

const (
	// recoverAfter is how soon rows are sent again that were under way when the last process died (daemon 10.3).
	recoverAfter = 500 * time.Millisecond
	// keepBodies is how long bodies of accepted and aborted rows stay (daemon 10.4).
	keepBodies = 7 * 24 * time.Hour
	// houseEvery is the pause between two rounds of Run.
	houseEvery = time.Hour
)

// Open opens the outbox or makes it, takes over a file of the TypeScript daemon, and puts rows that were under way
// when the last process died back to pending (daemon 10.4). A damaged, foreign or newer file is refused untouched:
// store_corrupt, store_newer, store_locked, storage_full, io_error.
func Open(ctx context.Context, opt Options) (*Outbox, error) {
	files, err := migrations()
	if err != nil {
		return nil, fmt.Errorf("read migrations of the outbox: %w", err)
	}
	db, err := sqlite.Open(ctx, opt.Path, sqlite.Options{Migrations: files, Adopt: adopt, Now: opt.Now, Log: opt.Log, Small: true})
	if err != nil {
		return nil, sqlite.Coded(err)
	}
	o := &Outbox{db: db, now: opt.Now, log: opt.Log, keep: cmp.Or(opt.Keep, keepBodies), newID: opt.newID}
	if o.newID == nil {
		o.newID = mesh.NewClientID
	}
	if err := recoverRows(ctx, o); err != nil {
		return nil, errors.Join(sqlite.Coded(fmt.Errorf("recover the outbox: %w", err)), db.Close())
	}
	return o, nil
}

// recoverRows frees the rows of a process that is gone and counts what waits.
func recoverRows(ctx context.Context, o *Outbox) error {
	return o.db.Write(ctx, func(tx *sqlite.Tx) error {
		freed, err := tx.Exec("UPDATE outbox SET status = 'pending', next_attempt_at = $1 WHERE status = 'inflight'",
			o.now().Add(recoverAfter).UnixMilli())
		if err != nil {
			return err
		}
		if freed > 0 {
			o.log.Info("rows under way when the last daemon ended are sent again", slog.Int64(logkey.Rows, freed))
		}
		var waiting int64
		err = tx.QueryRow("SELECT count(*) FROM outbox WHERE status = 'pending'").Scan(&waiting)
		o.open.Store(waiting)
		return err
	})
}

// Close finishes what was accepted and closes the file. Every Drain and Run must have returned.
func (o *Outbox) Close() error { return sqlite.Coded(o.db.Close()) }

// Run keeps house until ctx ends, or the outbox has failed and a restart is needed (store_failed): bodies and ciphertexts of accepted and aborted rows are blanked after
// Options.Keep. Those of dead rows stay: they can be requeued.
func (o *Outbox) Run(ctx context.Context) error {
	tick := time.NewTicker(houseEvery)
	defer tick.Stop()
	for {
		if err := blank(ctx, o); err != nil && ctx.Err() == nil {
			o.log.Warn("old bodies stay in the outbox", slog.Any(logkey.Err, err))
		}
		select {
		case <-tick.C:
		case <-o.db.Failed():
			return sqlite.Coded(fmt.Errorf("outbox: %w", o.db.Failure()))
		case <-ctx.Done():
			return nil
		}
	}
}

// blankBatch bounds the rows of one transaction, so that an accept never waits for long.
const blankBatch = 500

// blank overwrites bodies that nobody needs any more. The rows stay: their ids are taken for ever.
func blank(ctx context.Context, o *Outbox) error {
	before := o.now().Add(-o.keep).UnixMilli()
	for _, at := range [][2]string{{"done", "delivered_at"}, {"aborted", "aborted_at"}} {
		if err := blankEnded(ctx, o, at[0], at[1], before); err != nil {
			return err
		}
	}
	return nil
}

// blankEnded blanks the rows of a status whose time, a column, is before beforeMs.
func blankEnded(ctx context.Context, o *Outbox, status, column string, beforeMs int64) error {
	for {
		var blanked int64
		err := o.db.Write(ctx, func(tx *sqlite.Tx) error {
			var err error
			blanked, err = tx.Exec(`UPDATE outbox SET payload = x'', ciphertext = NULL WHERE rowid IN (
				SELECT rowid FROM outbox
				WHERE status = '`+status+`' AND ciphertext IS NOT NULL AND `+column+` < $1 LIMIT $2)`, beforeMs, blankBatch)
			return err
		})
		if err != nil || blanked < blankBatch {
			return err
		}
	}
}
