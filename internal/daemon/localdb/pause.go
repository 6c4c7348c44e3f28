package localdb

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Pause is something that the human has stopped for a while: what comes from a member, to a group, in a mesh, or at all.
type Pause struct {
	Mute   bool     // sessions get it when they ask; false: not at all
	MeshID mesh.ID  // empty: in all of them
	Member mesh.Key // empty: from everybody
	Group  string   // with its @, in lower case; empty: whatever it is for
	Name   string   // of the member, or the group, as it was called
	Since  time.Time
}

// Same reports whether both are about the same.
func (p Pause) Same(other Pause) bool {
	p.Name, p.Since = other.Name, other.Since
	return p == other
}

// SavePauses keeps pauses. One that is there already stays as it is.
func SavePauses(ctx context.Context, d *DB, list []Pause) error {
	return d.write(ctx, "keep what is paused", func(tx *sqlite.Tx) error {
		for _, p := range list {
			_, err := tx.Exec("INSERT INTO pause (mute, mesh_id, member, group_name, name, since) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
				p.Mute, p.MeshID, p.Member, p.Group, p.Name, p.Since.UnixMilli())
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
			_, err := tx.Exec("DELETE FROM pause WHERE mute = $1 AND mesh_id = $2 AND member = $3 AND group_name = $4", p.Mute, p.MeshID, p.Member, p.Group)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ListPauses lists what is paused, and what is muted, oldest first.
func ListPauses(ctx context.Context, d *DB) ([]Pause, error) {
	var all []Pause
	err := d.read(ctx, "read what is paused", func(tx *sqlite.Tx) error {
		rows, err := tx.Query("SELECT mute, mesh_id, member, group_name, name, since FROM pause ORDER BY since, mesh_id, member, group_name")
		if err != nil {
			return err
		}
		for rows.Next() {
			var p Pause
			var since int64
			if err := rows.Scan(&p.Mute, &p.MeshID, &p.Member, &p.Group, &p.Name, &since); err != nil {
				return err
			}
			p.Since = time.UnixMilli(since)
			all = append(all, p)
		}
		return rows.Err()
	})
	return all, err
}
