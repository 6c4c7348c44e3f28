package localdb

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Pause is something that the human has stopped for a while: what comes from a member, in a mesh, or both.
type Pause struct {
	MeshID mesh.ID  // empty: in all of them
	Member mesh.Key // empty: from everybody
	Name   string   // of the member, as it was called
	Since  time.Time
}

// Same reports whether both are about the same.
func (p Pause) Same(other Pause) bool { return p.MeshID == other.MeshID && p.Member == other.Member }

// SavePauses keeps pauses. One that is there already stays as it is.
func SavePauses(ctx context.Context, d *DB, list []Pause) error {
	return d.write(ctx, "keep what is paused", func(tx *sqlite.Tx) error {
		for _, p := range list {
			_, err := tx.Exec("INSERT INTO pause (mesh_id, member, name, since) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
				p.MeshID, p.Member, p.Name, p.Since.UnixMilli())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// EndPauses forgets pauses.
func EndPauses(ctx context.Context, d *DB, list []Pause) error {
	return d.write(ctx, "end what is paused", func(tx *sqlite.Tx) error {
		for _, p := range list {
			if _, err := tx.Exec("DELETE FROM pause WHERE mesh_id = $1 AND member = $2", p.MeshID, p.Member); err != nil {
				return err
			}
		}
		return nil
	})
}

// ListPauses lists what is paused, oldest first.
func ListPauses(ctx context.Context, d *DB) ([]Pause, error) {
	var all []Pause
	err := d.read(ctx, "read what is paused", func(tx *sqlite.Tx) error {
		rows, err := tx.Query("SELECT mesh_id, member, name, since FROM pause ORDER BY since, mesh_id, member")
		if err != nil {
			return err
		}
		for rows.Next() {
			var p Pause
			var since int64
			if err := rows.Scan(&p.MeshID, &p.Member, &p.Name, &since); err != nil {
				return err
			}
			p.Since = time.UnixMilli(since)
			all = append(all, p)
		}
		return rows.Err()
	})
	return all, err
}
