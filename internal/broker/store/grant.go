package store

import (
	"fmt"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// SaveGrants keeps what a member, by its number, lets the holders of keys do, and forgets the entries of others: for
// them the defaults hold again.
func SaveGrants(tx *sqlite.Tx, member int64, set mesh.Grants, reset []mesh.Key) error {
	for key, caps := range set {
		_, err := tx.Exec(`INSERT INTO peer_grant (member, pubkey, caps) VALUES ($1, $2, $3)
			ON CONFLICT (member, pubkey) DO UPDATE SET caps = excluded.caps`, member, key, int64(caps))
		if err != nil {
			return fmt.Errorf("save grants: %w", err)
		}
	}
	for _, key := range reset {
		if _, err := tx.Exec(`DELETE FROM peer_grant WHERE member = $1 AND pubkey = $2`, member, key); err != nil {
			return fmt.Errorf("save grants: %w", err)
		}
	}
	return nil
}

// ListGrants reads the entries of a member.
func ListGrants(tx *sqlite.Tx, member int64) (mesh.Grants, error) {
	rows, err := tx.Query(`SELECT pubkey, caps FROM peer_grant WHERE member = $1`, member)
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	all := mesh.Grants{}
	for rows.Next() {
		var key mesh.Key
		var caps mesh.Caps
		if err := rows.Scan(&key, &caps); err != nil {
			return nil, fmt.Errorf("list grants: %w", err)
		}
		all[key] = caps
	}
	return all, rows.Err()
}

// ListAllGrants reads the entries of every member, by the member's id.
func ListAllGrants(tx *sqlite.Tx) (map[mesh.ID]mesh.Grants, error) {
	rows, err := tx.Query(`SELECT m.id, g.pubkey, g.caps FROM peer_grant g JOIN member m ON m.n = g.member`)
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	all := map[mesh.ID]mesh.Grants{}
	for rows.Next() {
		var member mesh.ID
		var key mesh.Key
		var caps mesh.Caps
		if err := rows.Scan(&member, &key, &caps); err != nil {
			return nil, fmt.Errorf("list grants: %w", err)
		}
		if all[member] == nil {
			all[member] = mesh.Grants{}
		}
		all[member][key] = caps
	}
	return all, rows.Err()
}
