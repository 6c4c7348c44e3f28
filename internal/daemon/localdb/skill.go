package localdb

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Skill is a skill that the human said yes to.
type Skill struct {
	Name   string
	Author mesh.Key // of the member; empty where nobody signed
	Digest string
	Text   string // JSON, as it was accepted
}

// Skills are those of one mesh.
type Skills struct {
	db *DB
	id mesh.ID
}

// SkillsOf gives the skills of a mesh.
func SkillsOf(d *DB, id mesh.ID) Skills { return Skills{d, id} }

// Accept writes a skill in place of what was accepted under its name.
func (t Skills) Accept(ctx context.Context, s Skill, now time.Time) error {
	return t.db.write(ctx, "accept a skill", func(tx *sqlite.Tx) error {
		_, err := tx.Exec("INSERT OR REPLACE INTO skill (mesh_id, name, author, digest, text, accepted_at) VALUES ($1, $2, $3, $4, $5, $6)",
			t.id, s.Name, s.Author, s.Digest, s.Text, now.UnixMilli())
		return err
	})
}

// Forget forgets what was accepted under these names, and counts it.
func (t Skills) Forget(ctx context.Context, names ...string) (n int64, err error) {
	err = t.db.write(ctx, "forget skills", func(tx *sqlite.Tx) error {
		n = 0
		for _, name := range names {
			gone, err := tx.Exec("DELETE FROM skill WHERE mesh_id = $1 AND name = $2", t.id, name)
			if err != nil {
				return err
			}
			n += gone
		}
		return nil
	})
	return n, err
}

// List returns what was accepted, by name.
func (t Skills) List(ctx context.Context) (list []Skill, err error) {
	err = t.db.read(ctx, "list accepted skills", func(tx *sqlite.Tx) error {
		list = nil
		rows, err := tx.Query("SELECT name, author, digest, text FROM skill WHERE mesh_id = $1 ORDER BY name", t.id)
		if err != nil {
			return err
		}
		return each(rows, func(rows *sqlite.Rows) error {
			var s Skill
			err := rows.Scan(&s.Name, &s.Author, &s.Digest, &s.Text)
			list = append(list, s)
			return err
		})
	})
	return list, err
}
