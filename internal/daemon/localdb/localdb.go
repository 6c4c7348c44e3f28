// Package localdb is the daemon's own database: what it learned of its meshes, the peers it has met, and the host
// sessions that are registered. All of it can be learned again; keys and messages lie elsewhere.
package localdb

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is the open database. Its methods may be called from any goroutine; each is one transaction, on disk when it
// returns.
type DB struct{ db *sqlite.DB }

// Open opens the file at path, or makes it. What it refuses has a code of a store.
func Open(ctx context.Context, path string, now mesh.Clock, log *slog.Logger) (*DB, error) {
	set, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, mesh.Errorf(mesh.Internal, "find the migrations: %w", err)
	}
	db, err := sqlite.Open(ctx, path, sqlite.Options{Migrations: set, Now: now, Log: log, Small: true})
	if err != nil {
		return nil, sqlite.Coded(err)
	}
	return &DB{db: db}, nil
}

// Stored is what the file holds, for those who look after it.
func Stored() (sqlite.Options, []sqlite.Rule, error) {
	set, err := fs.Sub(migrations, "migrations")
	return sqlite.Options{Migrations: set}, nil, err
}

// Close finishes what was accepted and closes the file.
func (d *DB) Close() error { return d.db.Close() }

// Watch returns nil when ctx ends, and store_failed when nothing can be written until the file is opened again.
func Watch(ctx context.Context, d *DB) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.db.Failed():
		return coded("daemon.db", d.db.Failure())
	}
}

// read runs fn on a snapshot; what says what it is for.
func (d *DB) read(ctx context.Context, what string, fn func(*sqlite.Tx) error) error {
	return coded(what, d.db.Read(ctx, fn))
}

// write runs fn in a transaction that is on disk when it returns.
func (d *DB) write(ctx context.Context, what string, fn func(*sqlite.Tx) error) error {
	return coded(what, d.db.Write(ctx, fn))
}

func coded(what string, err error) error {
	if err == nil {
		return nil
	}
	return sqlite.Coded(fmt.Errorf("%s: %w", what, err))
}

// find scans one row; no row is no error.
func find(row sqlite.Row, dest ...any) (bool, error) {
	err := row.Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// each calls scan for each row of a query.
func each(rows *sqlite.Rows, scan func(*sqlite.Rows) error) error {
	for rows.Next() {
		if err := scan(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return rows.Err()
}
