package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Ban is a member who was banned, and by whom.
type Ban struct {
	Member // its membership has ended
	Reason string
	By     mesh.Key // that signed
	At     time.Time
}

// AddBan ends a membership so that it can be given back. It reports false when the membership had ended before.
func AddBan(tx *sqlite.Tx, b Ban) (bool, error) {
	ended, err := RevokeMember(tx, b.ID, b.At)
	if err != nil || !ended {
		return false, err
	}
	_, err = tx.Exec(`INSERT INTO ban (member, mesh_id, reason, by_pubkey, banned_at) VALUES ($1, $2, $3, $4, $5)`,
		b.N, b.Mesh, b.Reason, b.By, ms(b.At))
	if err != nil {
		return false, fmt.Errorf("add ban: %w", err)
	}
	return true, nil
}

// LiftBan makes a banned member active again. It reports false when the member is not banned.
func LiftBan(tx *sqlite.Tx, member int64) (bool, error) {
	n, err := tx.Exec(`DELETE FROM ban WHERE member = $1`, member)
	if err == nil && n > 0 {
		_, err = tx.Exec(`UPDATE member SET revoked_at = 0 WHERE n = $1 AND NOT EXISTS (SELECT 1 FROM member o
			WHERE o.mesh_id = member.mesh_id AND o.peer_pubkey = member.peer_pubkey AND o.revoked_at = 0)`, member)
	}
	if err != nil {
		return false, fmt.Errorf("lift ban: %w", err)
	}
	return n > 0, nil
}

// ListBans reads who is banned from a mesh, newest first.
func ListBans(tx *sqlite.Tx, meshID mesh.ID) ([]Ban, error) {
	rows, err := tx.Query(`SELECT m.n, m.id, m.mesh_id, m.peer_pubkey, m.display_name, m.role, m.joined_at, m.last_seen_at, m.revoked_at,
			b.reason, b.by_pubkey, b.banned_at
		FROM ban b JOIN member m ON m.n = b.member WHERE b.mesh_id = $1 ORDER BY b.banned_at DESC, b.member DESC`, meshID)
	if err != nil {
		return nil, fmt.Errorf("list bans: %w", err)
	}
	var out []Ban
	for rows.Next() {
		var b Ban
		var when int64
		b.Member, err = readMember(alongside{rows, []any{&b.Reason, &b.By, &when}})
		if err != nil {
			return nil, err
		}
		b.At = at(when)
		out = append(out, b)
	}
	return out, rows.Err()
}

// alongside reads further columns behind those that are asked for.
type alongside struct {
	row  scanner
	rest []any
}

// Scan implements scanner.
func (a alongside) Scan(dest ...any) error { return a.row.Scan(append(dest, a.rest...)...) }

// ListBanned reads the numbers of the members that are banned, of every mesh.
func ListBanned(tx *sqlite.Tx) ([]int64, error) {
	n, err := numbers(tx, `SELECT member FROM ban`)
	if err != nil {
		return nil, fmt.Errorf("list bans: %w", err)
	}
	return n, nil
}

// FindBan reads why a key is banned from a mesh; false when it is not.
func FindBan(tx *sqlite.Tx, meshID mesh.ID, key mesh.Key) (reason string, banned bool, err error) {
	err = tx.QueryRow(`SELECT b.reason FROM ban b JOIN member m ON m.n = b.member WHERE b.mesh_id = $1 AND m.peer_pubkey = $2`,
		meshID, key).Scan(&reason)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read ban: %w", err)
	}
	return reason, true, nil
}

// FindFounder reads the member that a mesh began with, who is its owner's, or not_found.
func FindFounder(tx *sqlite.Tx, meshID mesh.ID) (Member, error) {
	return scanMember(tx.QueryRow(`SELECT `+memberColumns+` FROM member WHERE mesh_id = $1 ORDER BY n LIMIT 1`, meshID))
}
