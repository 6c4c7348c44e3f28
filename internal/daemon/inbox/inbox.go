// Package inbox keeps what came, for every session of this machine, and what was shown to whom.
package inbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Options says where the inbox lies. All fields but Keep are required.
type Options struct {
	Path string        // paths.Daemon.Inbox
	Keep time.Duration // how long messages stay; 0 means 30 days
	Now  mesh.Clock
	Log  *slog.Logger
}

// Inbox is the open database. Its methods may be called from any goroutine.
type Inbox struct {
	db   *sqlite.DB
	keep time.Duration
	now  mesh.Clock
	log  *slog.Logger

	floors floors

	mu      sync.Mutex
	changed chan struct{} // closed at the next new row
	due     chan struct{} // closed when there is more to tell
}

const (
	keepRows   = 30 * 24 * time.Hour // (daemon 14.3)
	pruneEvery = time.Hour
	pruneBatch = 500 // rows of one transaction, so that a Put never waits for long
)

// Open opens the inbox or makes it, and takes over a file of the TypeScript daemon. A damaged file is moved aside as
// inbox.db.corrupt-<time> and a new one begun; a newer or locked one is refused: store_newer, store_locked, io_error.
func Open(ctx context.Context, opt Options) (*Inbox, error) {
	files, err := migrations()
	if err != nil {
		return nil, fmt.Errorf("read migrations of the inbox: %w", err)
	}
	how := sqlite.Options{Migrations: files, Adopt: adopt, Now: opt.Now, Log: opt.Log, Small: true}
	db, err := sqlite.Open(ctx, opt.Path, how)
	if damaged(opt.Path, err) {
		if err := setAside(opt, err); err != nil {
			return nil, err
		}
		db, err = sqlite.Open(ctx, opt.Path, how)
	}
	if err != nil {
		return nil, sqlite.Coded(err)
	}
	return &Inbox{db: db, keep: cmp.Or(opt.Keep, keepRows), now: opt.Now, log: opt.Log, changed: make(chan struct{}), due: make(chan struct{})}, nil
}

// damaged reports whether the file is one that nobody can read, rather than one that is not ours to touch.
func damaged(path string, err error) bool {
	if !errors.Is(err, sqlite.ErrCorrupt) && !errors.Is(err, sqlite.ErrNotDatabase) {
		return false
	}
	info, statErr := os.Stat(path)
	return statErr == nil && info.Mode().IsRegular()
}

// setAside renames the file with its log and its shared memory, which belong to it (daemon 10.4).
func setAside(opt Options, cause error) error {
	aside, err := sqlite.SetAside(opt.Path, "corrupt", opt.Now())
	if err != nil {
		return mesh.Errorf(mesh.IOError, "move the damaged inbox aside: %w", err)
	}
	opt.Log.Error("inbox was damaged, a new one is begun", slog.String(logkey.Path, aside), slog.Any(logkey.Err, cause))
	return nil
}

// Close finishes what was accepted and closes the file. Run must have returned.
func (b *Inbox) Close() error { return sqlite.Coded(b.db.Close()) }

// Run prunes at once and every hour until ctx ends, or the inbox has failed and a restart is needed (store_failed): what is older than the retention goes, read or not (daemon 14.3),
// the hashes of the nonces stay.
func (b *Inbox) Run(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		removed, err := b.prune(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			b.log.Warn("old messages stay in the inbox", slog.Any(logkey.Err, err))
		case removed > 0:
			b.log.Info("old messages left the inbox", slog.Int64(logkey.Rows, removed))
		}
		select {
		case <-tick.C:
		case <-b.db.Failed():
			return sqlite.Coded(fmt.Errorf("inbox: %w", b.db.Failure()))
		case <-ctx.Done():
			return nil
		}
	}
}

// Changed returns a channel that is closed when the next new row is on the disk.
func (b *Inbox) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *Inbox) broadcast() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}
