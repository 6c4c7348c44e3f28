package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Roles of a member.
const (
	RoleAdmin  = "admin"
	RoleMember = "member"
)

// Member is a row of member.
type Member struct {
	N         int64 // number within this database; AddMember sets it
	ID        mesh.ID
	Mesh      mesh.ID
	Key       mesh.Key
	Name      string
	Role      string // RoleAdmin or RoleMember
	JoinedAt  time.Time
	LastSeen  time.Time // zero when it was never connected
	RevokedAt time.Time // zero while it is active
}

// Active reports whether the membership has not ended.
func (m Member) Active() bool { return m.RevokedAt.IsZero() }

const memberColumns = `n, id, mesh_id, peer_pubkey, display_name, role, joined_at, last_seen_at, revoked_at`

// AddMember inserts m and returns it with its number. An active member of the mesh with the same key is
// returned instead, with false: joining again changes nothing (design C3).
func AddMember(tx *sqlite.Tx, m Member) (Member, bool, error) {
	found, err := FindMemberByKey(tx, m.Mesh, m.Key)
	if err == nil {
		return found, false, nil
	}
	if !mesh.IsCode(err, mesh.NotFound) {
		return m, false, err
	}
	err = tx.QueryRow(`INSERT INTO member (id, mesh_id, peer_pubkey, display_name, role, joined_at)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING n`,
		m.ID, m.Mesh, m.Key, m.Name, m.Role, ms(m.JoinedAt)).Scan(&m.N)
	if err != nil {
		return m, false, fmt.Errorf("add member: %w", err)
	}
	return m, true, nil
}

// FindMember reads a member by its id, revoked ones too, or not_found.
func FindMember(tx *sqlite.Tx, id mesh.ID) (Member, error) {
	return scanMember(tx.QueryRow(`SELECT `+memberColumns+` FROM member WHERE id = $1`, id))
}

// FindMemberByNumber reads a member by its number, revoked ones too, or not_found.
func FindMemberByNumber(tx *sqlite.Tx, n int64) (Member, error) {
	return scanMember(tx.QueryRow(`SELECT `+memberColumns+` FROM member WHERE n = $1`, n))
}

// FindMemberByKey reads the active member of a mesh that has key, or not_found.
func FindMemberByKey(tx *sqlite.Tx, meshID mesh.ID, key mesh.Key) (Member, error) {
	return scanMember(tx.QueryRow(`SELECT `+memberColumns+` FROM member
		WHERE mesh_id = $1 AND peer_pubkey = $2 AND revoked_at = 0`, meshID, key))
}

// WasMember reports whether key once was a member of the mesh and no longer is: its hello is revoked, not unauthorized.
func WasMember(tx *sqlite.Tx, meshID mesh.ID, key mesh.Key) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM member WHERE mesh_id = $1 AND peer_pubkey = $2 AND revoked_at <> 0`, meshID, key).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("read member: %w", err)
	}
	return n > 0, nil
}

// ListMembers reads the active members of a mesh, oldest first.
func ListMembers(tx *sqlite.Tx, meshID mesh.ID) ([]Member, error) {
	rows, err := tx.Query(`SELECT `+memberColumns+` FROM member WHERE mesh_id = $1 AND revoked_at = 0 ORDER BY n`, meshID)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	var out []Member
	for rows.Next() {
		m, err := readMember(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// SetRole changes the role of a member.
func SetRole(tx *sqlite.Tx, id mesh.ID, role string) error {
	if _, err := tx.Exec(`UPDATE member SET role = $2 WHERE id = $1`, id, role); err != nil {
		return fmt.Errorf("change role: %w", err)
	}
	return nil
}

// SeeMember notes that a member was connected.
func SeeMember(tx *sqlite.Tx, id mesh.ID, when time.Time) error {
	if _, err := tx.Exec(`UPDATE member SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2`, id, ms(when)); err != nil {
		return fmt.Errorf("note member: %w", err)
	}
	return nil
}

// RevokeMember ends a membership; it reports false when it had ended before.
func RevokeMember(tx *sqlite.Tx, id mesh.ID, when time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE member SET revoked_at = $2 WHERE id = $1 AND revoked_at = 0`, id, ms(when))
	if err != nil {
		return false, fmt.Errorf("revoke member: %w", err)
	}
	return n > 0, nil
}

// scanner is a row that can be read: the one of a QueryRow, or the current one of a Query.
type scanner interface{ Scan(dest ...any) error }

func scanMember(row sqlite.Row) (Member, error) {
	m, err := readMember(row)
	if errors.Is(err, sql.ErrNoRows) {
		return m, mesh.Errorf(mesh.NotFound, "this mesh has no such member")
	}
	return m, err
}

func readMember(row scanner) (Member, error) {
	var m Member
	var joined, seen, revoked int64
	err := row.Scan(&m.N, &m.ID, &m.Mesh, &m.Key, &m.Name, &m.Role, &joined, &seen, &revoked)
	if err != nil {
		return m, fmt.Errorf("read member: %w", err)
	}
	m.JoinedAt, m.LastSeen, m.RevokedAt = at(joined), at(seen), at(revoked)
	return m, nil
}
