package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Presence is a row of presence.
type Presence struct {
	Mesh    mesh.ID
	Seat    string
	Member  mesh.ID
	Lasting bool // its key or id stays the same, so that it comes back by that
	Here    bool // connected, or within its lease
	SeenAt  time.Time
	Facts   string // JSON
}

const presenceColumns = `p.mesh_id, p.seat, p.member, p.lasting, p.here, p.seen_at, p.facts`

// SavePresence writes a row, in place of the one of the same seat.
func SavePresence(tx *sqlite.Tx, p Presence) error {
	_, err := tx.Exec(`INSERT INTO presence (mesh_id, seat, member, lasting, here, seen_at, facts) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (mesh_id, seat) DO UPDATE SET member = excluded.member, lasting = excluded.lasting, here = excluded.here,
		seen_at = excluded.seen_at, facts = excluded.facts`,
		p.Mesh, p.Seat, p.Member, p.Lasting, p.Here, ms(p.SeenAt), p.Facts)
	if err != nil {
		return fmt.Errorf("save presence: %w", err)
	}
	return nil
}

// Present is a row of presence with what the roster tells beside it.
type Present struct {
	Presence
	MemberName string
	Proved     bool   // Session.Proved of its session; false without one
	Vouch      string // Session.Vouch
}

// ListPresent reads who was here when it was last written, of active members.
func ListPresent(tx *sqlite.Tx) ([]Present, error) {
	rows, err := tx.Query(`SELECT ` + presenceColumns + `, m.display_name, coalesce(s.proved, 0), coalesce(s.vouch, '')
		FROM presence p JOIN member m ON m.id = p.member
		LEFT JOIN session s ON p.seat LIKE 'k:%' AND s.mesh_id = p.mesh_id AND s.pubkey = substr(p.seat, 3) AND s.member = m.n
		WHERE p.here = 1 AND m.revoked_at = 0 ORDER BY p.seen_at`)
	if err != nil {
		return nil, fmt.Errorf("list presence: %w", err)
	}
	var out []Present
	for rows.Next() {
		var p Present
		p.Presence, err = readPresence(alongside{rows, []any{&p.MemberName, &p.Proved, &p.Vouch}})
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// FindPresence reads the row of a seat; false without one.
func FindPresence(tx *sqlite.Tx, meshID mesh.ID, seat string) (Presence, bool, error) {
	return onePresence(tx.QueryRow(`SELECT `+presenceColumns+` FROM presence p WHERE p.mesh_id = $1 AND p.seat = $2`, meshID, seat))
}

// LastDeparted reads what the connection of a member that left last had told of itself, X; false without one. Who is here keeps what is theirs.
func LastDeparted(tx *sqlite.Tx, member mesh.ID) (Presence, bool, error) {
	return onePresence(tx.QueryRow(`SELECT `+presenceColumns+` FROM presence p
		WHERE p.member = $1 AND p.here = 0 AND p.lasting = 0 ORDER BY p.seen_at DESC LIMIT 1`, member))
}

// RemovePresence deletes the row of a seat.
func RemovePresence(tx *sqlite.Tx, meshID mesh.ID, seat string) error {
	if _, err := tx.Exec(`DELETE FROM presence WHERE mesh_id = $1 AND seat = $2`, meshID, seat); err != nil {
		return fmt.Errorf("remove presence: %w", err)
	}
	return nil
}

// PrunePresence forgets who left before a time.
func PrunePresence(tx *sqlite.Tx, before time.Time) error {
	if _, err := tx.Exec(`DELETE FROM presence WHERE here = 0 AND seen_at < $1`, ms(before)); err != nil {
		return fmt.Errorf("prune presence: %w", err)
	}
	return nil
}

func onePresence(row sqlite.Row) (Presence, bool, error) {
	p, err := readPresence(row)
	if errors.Is(err, sql.ErrNoRows) {
		return p, false, nil
	}
	return p, err == nil, err
}

func readPresence(row scanner) (Presence, error) {
	var p Presence
	var seen int64
	if err := row.Scan(&p.Mesh, &p.Seat, &p.Member, &p.Lasting, &p.Here, &seen, &p.Facts); err != nil {
		return p, fmt.Errorf("read presence: %w", err)
	}
	p.SeenAt = at(seen)
	return p, nil
}
