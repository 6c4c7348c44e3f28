package localdb

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// SaveWish keeps, as JSON, what a session, or with an empty id the user, wants others to see of it in a mesh.
func (d *DB) SaveWish(ctx context.Context, id mesh.ID, sessionID, text string, now time.Time) error {
	return d.write(ctx, "keep what others are to see", func(tx *sqlite.Tx) error {
		_, err := tx.Exec("INSERT OR REPLACE INTO wish (mesh_id, session_id, text, changed_at) VALUES ($1, $2, $3, $4)",
			id, sessionID, text, now.UnixMilli())
		return err
	})
}

// FindWish returns what was saved; empty when nothing was.
func (d *DB) FindWish(ctx context.Context, id mesh.ID, sessionID string) (text string, err error) {
	err = d.read(ctx, "read what others are to see", func(tx *sqlite.Tx) error {
		_, err := find(tx.QueryRow("SELECT text FROM wish WHERE mesh_id = $1 AND session_id = $2", id, sessionID), &text)
		return err
	})
	return text, err
}

// PruneWishes forgets those of sessions that were not changed for 30 days and are none of those that live.
func (d *DB) PruneWishes(ctx context.Context, now time.Time) error {
	return d.write(ctx, "forget old sessions", func(tx *sqlite.Tx) error {
		_, err := tx.Exec(`DELETE FROM wish WHERE session_id <> '' AND changed_at <= $1
			AND session_id NOT IN (SELECT session_id FROM session)`, now.Add(-sessionIdle).UnixMilli())
		return err
	})
}
