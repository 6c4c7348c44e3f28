package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Skill is a row of skill with its author.
type Skill struct {
	Mesh                            mesh.ID
	Name, Description, Instructions string
	Tags                            []string
	Manifest                        string // JSON; may be empty
	AuthorKey                       mesh.Key
	AuthorName                      string
	Removed                         bool // the name is kept for its author
	Active                          bool // the author is a member
	CreatedAt, UpdatedAt            time.Time
}

const skillColumns = `s.mesh_id, s.name, s.description, s.instructions, s.tags, s.manifest, m.peer_pubkey, m.display_name, s.removed_at, m.revoked_at, s.created_at, s.updated_at`

const (
	findSkill  = `SELECT ` + skillColumns + ` FROM skill s JOIN member m ON m.n = s.author WHERE s.mesh_id = $1 AND s.name = $2`
	listSkills = `SELECT ` + skillColumns + ` FROM skill s JOIN member m ON m.n = s.author
		WHERE s.mesh_id = $1 AND s.name > $2 AND s.removed_at = 0 AND m.revoked_at = 0 ORDER BY s.name`
	countSkills = `SELECT count(*) FROM skill s JOIN member m ON m.n = s.author WHERE s.mesh_id = $1 AND m.peer_pubkey = $2`
)

// FindSkill reads the skill of a name, also one that is removed or whose author is no member any more, or not_found.
func FindSkill(tx *sqlite.Tx, meshID mesh.ID, name string) (Skill, error) {
	s, err := scanSkill(tx.QueryRow(findSkill, meshID, name))
	if errors.Is(err, sql.ErrNoRows) {
		return s, mesh.Errorf(mesh.SkillNotFound, "this mesh has no such skill")
	}
	return s, err
}

// CountSkills counts the names that a member key has.
func CountSkills(tx *sqlite.Tx, meshID mesh.ID, author mesh.Key) (n int, err error) {
	if err := tx.QueryRow(countSkills, meshID, author).Scan(&n); err != nil {
		return 0, fmt.Errorf("count skills: %w", err)
	}
	return n, nil
}

// PutSkill writes a skill in place of the one of its name; who may is the caller's question. AuthorKey must be of an
// active member.
func PutSkill(tx *sqlite.Tx, s Skill) error {
	author, err := FindMemberByKey(tx, s.Mesh, s.AuthorKey)
	if err != nil {
		return err
	}
	tags, err := json.Marshal(s.Tags)
	if err != nil {
		return fmt.Errorf("write tags: %w", err)
	}
	_, err = tx.Exec(`INSERT INTO skill (mesh_id, name, author, description, instructions, tags, manifest, created_at, updated_at, removed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, 0)
		ON CONFLICT (mesh_id, name) DO UPDATE SET author = $3, description = $4, instructions = $5, tags = $6, manifest = $7, updated_at = $8, removed_at = 0`,
		s.Mesh, s.Name, author.N, s.Description, s.Instructions, string(tags), s.Manifest, ms(s.UpdatedAt))
	if err != nil {
		return fmt.Errorf("put skill: %w", err)
	}
	return nil
}

// RemoveSkill forgets the text of a skill, and keeps its name.
func RemoveSkill(tx *sqlite.Tx, meshID mesh.ID, name string, when time.Time) error {
	_, err := tx.Exec(`UPDATE skill SET description = '', instructions = '', tags = '[]', manifest = '', removed_at = $3, updated_at = $3
		WHERE mesh_id = $1 AND name = $2`, meshID, name, ms(when))
	if err != nil {
		return fmt.Errorf("remove skill: %w", err)
	}
	return nil
}

// EachSkill hands the skills of active members to f, by name, until f returns false.
func EachSkill(tx *sqlite.Tx, meshID mesh.ID, f func(Skill) bool) error {
	rows, err := tx.Query(listSkills, meshID, "")
	if err != nil {
		return fmt.Errorf("list skills: %w", err)
	}
	more := true
	for rows.Next() {
		s, err := scanSkill(rows)
		if err != nil {
			return err
		}
		more = more && f(s)
	}
	return rows.Err()
}

func scanSkill(row interface{ Scan(...any) error }) (Skill, error) {
	var s Skill
	var tags string
	var removed, revoked, created, updated int64
	err := row.Scan(&s.Mesh, &s.Name, &s.Description, &s.Instructions, &tags, &s.Manifest, &s.AuthorKey, &s.AuthorName, &removed, &revoked, &created, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return s, err
	}
	if err == nil {
		err = json.Unmarshal([]byte(tags), &s.Tags)
	}
	if err != nil {
		return s, fmt.Errorf("read skill: %w", err)
	}
	s.Removed, s.Active, s.CreatedAt, s.UpdatedAt = removed != 0, revoked == 0, at(created), at(updated)
	return s, nil
}
