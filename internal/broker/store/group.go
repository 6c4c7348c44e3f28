package store

import (
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// SeeGroups notes the groups that a session of a member has.
func SeeGroups(tx *sqlite.Tx, member int64, groups []string, when time.Time) error {
	for _, g := range groups {
		_, err := tx.Exec(`INSERT INTO member_group (member, name, last_seen) VALUES ($1, $2, $3)
			ON CONFLICT (member, name) DO UPDATE SET last_seen = excluded.last_seen`, member, g, ms(when))
		if err != nil {
			return fmt.Errorf("note group: %w", err)
		}
	}
	return nil
}

// GroupMember is a member with one of the groups it was seen in.
type GroupMember struct {
	Member int64 // Member.N
	Group  string
}

// ListGroupMembers reads the groups in which the members of a mesh were seen since a time.
func ListGroupMembers(tx *sqlite.Tx, meshID mesh.ID, since time.Time) ([]GroupMember, error) {
	rows, err := tx.Query(`SELECT g.member, g.name FROM member m JOIN member_group g ON g.member = m.n
		WHERE m.mesh_id = $1 AND m.revoked_at = 0 AND g.last_seen >= $2 ORDER BY g.member, g.name`, meshID, ms(since))
	if err != nil {
		return nil, fmt.Errorf("list group members: %w", err)
	}
	var out []GroupMember
	for rows.Next() {
		var g GroupMember
		if err := rows.Scan(&g.Member, &g.Group); err != nil {
			return nil, fmt.Errorf("list group members: %w", err)
		}
		out = append(out, g)
	}
	return out, rows.Err()
}

// PruneGroups forgets groups not seen since a time.
func PruneGroups(tx *sqlite.Tx, before time.Time) error {
	if _, err := tx.Exec(`DELETE FROM member_group WHERE last_seen < $1`, ms(before)); err != nil {
		return fmt.Errorf("prune groups: %w", err)
	}
	return nil
}
