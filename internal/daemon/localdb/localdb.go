// Package localdb is the daemon's own database: what it learned of its meshes, the peers it has met, and the host
// sessions that are registered. All of it can be learned again; keys and messages lie elsewhere.
package localdb

import (
	"context"
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// DB is the open database. Its methods may be called from any goroutine; each is one transaction, on disk when it
// returns.
type DB struct{ db *sqlite.DB }

// Open opens daemon.db at path, or makes it.
func Open(ctx context.Context, path string, now mesh.Clock, log *slog.Logger) (*DB, error) {
	panic("unwritten")
}

// Close finishes what was accepted and closes the file.
func (d *DB) Close() error { return d.db.Close() }
