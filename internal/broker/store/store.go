// Package store is the SQL of the broker: its migrations, and one file per noun. Functions take the
// transaction; the caller decides what is one. Times are kept as milliseconds since the epoch.
package store

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Open opens the broker's database at path, making it when it is not there.
func Open(ctx context.Context, path string, now mesh.Clock, log *slog.Logger) (*sqlite.DB, error) {
	set, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, path, sqlite.Options{Migrations: set, Now: now, Log: log})
}

// at reads a stored time; 0 is the zero time.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// ms writes a time; the zero time is 0.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
