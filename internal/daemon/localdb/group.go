package localdb

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Groups are the groups of a host session in one mesh, or with an empty session id those of the user's own member. They
// are kept when the session ends, for when it is resumed.
type Groups struct {
	SessionID string
	MeshID    mesh.ID
	Said      []protocol.Group // with which the session was registered
	Groups    []protocol.Group // which it is in
	Changed   time.Time        // in milliseconds
}

// SaveGroups writes g, in place of what was known of its session in its mesh.
func (d *DB) SaveGroups(ctx context.Context, g Groups) error {
	said, err := wire.Encode(g.Said)
	if err != nil {
		return err
	}
	groups, err := wire.Encode(g.Groups)
	if err != nil {
		return err
	}
	return d.write(ctx, "save groups", func(tx *sqlite.Tx) error {
		_, err := tx.Exec("INSERT OR REPLACE INTO session_groups (session_id, mesh_id, said, groups, changed) VALUES ($1, $2, $3, $4, $5)",
			g.SessionID, g.MeshID, string(said), string(groups), g.Changed.UnixMilli())
		return err
	})
}

// FindGroups returns what is known of a session in a mesh; the zero value when nothing is.
func (d *DB) FindGroups(ctx context.Context, sessionID string, id mesh.ID) (Groups, error) {
	g := Groups{SessionID: sessionID, MeshID: id}
	err := d.read(ctx, "find groups", func(tx *sqlite.Tx) error {
		var said, groups string
		var changed int64
		found, err := find(tx.QueryRow("SELECT said, groups, changed FROM session_groups WHERE session_id = $1 AND mesh_id = $2", sessionID, id),
			&said, &groups, &changed)
		if err != nil || !found {
			return err
		}
		g.Changed = time.UnixMilli(changed)
		if err := wire.Decode([]byte(said), &g.Said); err != nil {
			return err
		}
		return wire.Decode([]byte(groups), &g.Groups)
	})
	return g, err
}

// PruneGroups forgets the groups of sessions that did not change for 30 days and are none of those that live. Those of
// the user's own member stay.
func (d *DB) PruneGroups(ctx context.Context, now time.Time) error {
	return d.write(ctx, "forget idle groups", func(tx *sqlite.Tx) error {
		_, err := tx.Exec(`DELETE FROM session_groups WHERE session_id <> '' AND changed <= $1
			AND session_id NOT IN (SELECT session_id FROM session)`, now.Add(-sessionIdle).UnixMilli())
		return err
	})
}

// FirstPlaintext notes that something was sent in a mesh that its broker can read, and reports whether it was the first.
func (d *DB) FirstPlaintext(ctx context.Context, id mesh.ID) (first bool, err error) {
	err = d.write(ctx, "note the first plain text", func(tx *sqlite.Tx) error {
		n, err := tx.Exec("INSERT INTO plaintext (mesh_id) VALUES ($1) ON CONFLICT DO NOTHING", id)
		first = n > 0
		return err
	})
	return first, err
}
