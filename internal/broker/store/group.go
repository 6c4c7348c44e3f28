package store

import (
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// GroupSeat is a place in a group that is remembered while its holder is away (design D1).
type GroupSeat struct {
	Name string
	Role string
}

// SetGroups makes these the groups of a session, or of a member's connection without one, in place of those before.
func SetGroups(tx *sqlite.Tx, box Box, groups []GroupSeat, when time.Time) error {
	if _, err := tx.Exec(`DELETE FROM group_seat WHERE member = $1 AND session = $2`, box.Member, box.Session); err != nil {
		return fmt.Errorf("leave groups: %w", err)
	}
	for _, g := range groups {
		_, err := tx.Exec(`INSERT INTO group_seat (member, session, name, role, last_seen) VALUES ($1, $2, $3, $4, $5)`,
			box.Member, box.Session, g.Name, g.Role, ms(when))
		if err != nil {
			return fmt.Errorf("enter group: %w", err)
		}
	}
	return nil
}

// SeeGroups notes that the groups of a session were in use until a time.
func SeeGroups(tx *sqlite.Tx, box Box, when time.Time) error {
	if _, err := tx.Exec(`UPDATE group_seat SET last_seen = $3 WHERE member = $1 AND session = $2`, box.Member, box.Session, ms(when)); err != nil {
		return fmt.Errorf("note groups: %w", err)
	}
	return nil
}

// LeaveGroup ends a member's seats in a group, but for those of the sessions that stay.
func LeaveGroup(tx *sqlite.Tx, member int64, name string, stay []int64) error {
	kept := map[int64]bool{}
	for _, n := range stay {
		kept[n] = true
	}
	rows, err := tx.Query(`SELECT session FROM group_seat WHERE member = $1 AND name = $2`, member, name)
	if err != nil {
		return fmt.Errorf("list seats: %w", err)
	}
	var left []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return fmt.Errorf("list seats: %w", err)
		}
		if !kept[n] {
			left = append(left, n)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, n := range left {
		if _, err := tx.Exec(`DELETE FROM group_seat WHERE member = $1 AND session = $2 AND name = $3`, member, n, name); err != nil {
			return fmt.Errorf("leave group: %w", err)
		}
	}
	return nil
}

// ListSavedGroups reads the groups in which a member was seen since a time, of whatever session.
func ListSavedGroups(tx *sqlite.Tx, member int64, since time.Time) ([]GroupSeat, error) {
	rows, err := tx.Query(`SELECT name, max(role) FROM group_seat WHERE member = $1 AND last_seen >= $2 GROUP BY name ORDER BY name`,
		member, ms(since))
	if err != nil {
		return nil, fmt.Errorf("list saved groups: %w", err)
	}
	var out []GroupSeat
	for rows.Next() {
		var g GroupSeat
		if err := rows.Scan(&g.Name, &g.Role); err != nil {
			return nil, fmt.Errorf("list saved groups: %w", err)
		}
		out = append(out, g)
	}
	return out, rows.Err()
}

// groupMembers finds who was seen in a group, or in one below it: paths go on with a slash, and 0 comes after it.
const groupMembers = `SELECT m.n, m.id, m.peer_pubkey FROM (
		SELECT member FROM group_seat WHERE name = $2 AND last_seen >= $3
		UNION SELECT member FROM group_seat WHERE name >= $2 || '/' AND name < $2 || '0' AND last_seen >= $3) g
	CROSS JOIN member m WHERE m.n = g.member AND m.mesh_id = $1 AND m.revoked_at = 0 ORDER BY m.n`

// ListGroupMembers reads N, ID and Key of the active members of a mesh that were seen in a group, or in one below it,
// since a time.
func ListGroupMembers(tx *sqlite.Tx, meshID mesh.ID, group string, since time.Time) ([]Member, error) {
	rows, err := tx.Query(groupMembers, meshID, group, ms(since))
	if err != nil {
		return nil, fmt.Errorf("list group members: %w", err)
	}
	var out []Member
	for rows.Next() {
		m := Member{Mesh: meshID}
		if err := rows.Scan(&m.N, &m.ID, &m.Key); err != nil {
			return nil, fmt.Errorf("list group members: %w", err)
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// Seated is a member in one of its groups.
type Seated struct {
	Group  string
	Member mesh.ID
	Name   string // of the member
}

// ListGroups reads the groups of a mesh with the active members that were seen in them since a time, by group.
func ListGroups(tx *sqlite.Tx, meshID mesh.ID, since time.Time) ([]Seated, error) {
	rows, err := tx.Query(`SELECT DISTINCT g.name, m.id, m.display_name FROM member m JOIN group_seat g ON g.member = m.n
		WHERE m.mesh_id = $1 AND m.revoked_at = 0 AND g.last_seen >= $2 ORDER BY g.name, m.display_name, m.id`, meshID, ms(since))
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	var out []Seated
	for rows.Next() {
		var s Seated
		if err := rows.Scan(&s.Group, &s.Member, &s.Name); err != nil {
			return nil, fmt.Errorf("list groups: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// PruneGroups forgets groups not seen since a time.
func PruneGroups(tx *sqlite.Tx, before time.Time) error {
	if _, err := tx.Exec(`DELETE FROM group_seat WHERE last_seen < $1`, ms(before)); err != nil {
		return fmt.Errorf("prune groups: %w", err)
	}
	return nil
}
