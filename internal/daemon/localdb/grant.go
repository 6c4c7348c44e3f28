package localdb

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Grant is what the own member of a mesh lets the holder of a key do.
type Grant struct {
	Key  mesh.Key
	Caps mesh.Caps
	Gone bool // the entry was removed: the defaults hold, and the broker does not know it yet
	Told bool // the broker knows
}

// goneCaps stands in the table for an entry that was removed.
const goneCaps = -1

func (g Grant) stored() int64 {
	if g.Gone {
		return goneCaps
	}
	return int64(g.Caps)
}

// Grants are the entries of one mesh.
type Grants struct {
	db *DB
	id mesh.ID
}

// GrantsOf gives the entries of a mesh.
func GrantsOf(d *DB, id mesh.ID) Grants { return Grants{d, id} }

// Save writes entries, in place of what was known of their keys.
func (t Grants) Save(ctx context.Context, all []Grant) error {
	return t.db.write(ctx, "save grants", func(tx *sqlite.Tx) error {
		for _, g := range all {
			_, err := tx.Exec("INSERT OR REPLACE INTO peer_grant (mesh_id, key, caps, told) VALUES ($1, $2, $3, $4)", t.id, g.Key, g.stored(), g.Told)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Taken reports whether the list of the TypeScript client was taken over.
func (t Grants) Taken(ctx context.Context) (taken bool, err error) {
	err = t.db.read(ctx, "find whether old grants were taken over", func(tx *sqlite.Tx) error {
		var id mesh.ID
		taken, err = find(tx.QueryRow("SELECT mesh_id FROM grants_taken WHERE mesh_id = $1", t.id), &id)
		return err
	})
	return taken, err
}

// Take takes the list of the TypeScript client over, once; own entries go before it.
func (t Grants) Take(ctx context.Context, old mesh.Grants) error {
	return t.db.write(ctx, "take old grants over", func(tx *sqlite.Tx) error {
		for key, caps := range old {
			if _, err := tx.Exec("INSERT OR IGNORE INTO peer_grant (mesh_id, key, caps, told) VALUES ($1, $2, $3, 0)", t.id, key, int64(caps)); err != nil {
				return err
			}
		}
		_, err := tx.Exec("INSERT OR IGNORE INTO grants_taken (mesh_id) VALUES ($1)", t.id)
		return err
	})
}

// List returns the entries, by key.
func (t Grants) List(ctx context.Context) (list []Grant, err error) {
	err = t.db.read(ctx, "list grants", func(tx *sqlite.Tx) error {
		rows, err := tx.Query("SELECT key, caps, told FROM peer_grant WHERE mesh_id = $1 ORDER BY key", t.id)
		if err != nil {
			return err
		}
		return each(rows, func(rows *sqlite.Rows) error {
			var g Grant
			var stored int64
			err := rows.Scan(&g.Key, &stored, &g.Told)
			if g.Gone = stored == goneCaps; !g.Gone {
				g.Caps = mesh.Caps(stored) & mesh.AllCaps
			}
			list = append(list, g)
			return err
		})
	})
	return list, err
}

// Told notes that the broker knows entries. What has changed meanwhile is not yet told; what was removed is forgotten.
func (t Grants) Told(ctx context.Context, all []Grant) error {
	return t.db.write(ctx, "note what the broker knows", func(tx *sqlite.Tx) error {
		for _, g := range all {
			text := "UPDATE peer_grant SET told = 1 WHERE mesh_id = $1 AND key = $2 AND caps = $3"
			if g.Gone {
				text = "DELETE FROM peer_grant WHERE mesh_id = $1 AND key = $2 AND caps = $3"
			}
			if _, err := tx.Exec(text, t.id, g.Key, g.stored()); err != nil {
				return err
			}
		}
		return nil
	})
}
