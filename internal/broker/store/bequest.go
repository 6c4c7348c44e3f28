package store

import (
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Bequeath gives the member of a session that has ended a copy of what waits for the session and was meant for many, and
// ends the session's: all but those of which the member has one, and what it wrote itself, which would come back to its
// writer. It returns the copies of the session that it ended.
func Bequeath(tx *sqlite.Tx, from Box, now time.Time) ([]Delivery, error) {
	rows, err := tx.Query(listBequest, from.Member, from.Session, int64(ToGroup))
	if err != nil {
		return nil, fmt.Errorf("list what a session leaves: %w", err)
	}
	var left []Delivery
	for rows.Next() {
		d := Delivery{To: from}
		if err := rows.Scan(&d.Message, &d.Sender, &d.Urgent, &d.Bytes); err != nil {
			return nil, fmt.Errorf("list what a session leaves: %w", err)
		}
		left = append(left, d)
	}
	if rows.Err() != nil {
		return nil, rows.Err()
	}
	for _, d := range left {
		if _, err := FinishDelivery(tx, Final{Message: d.Message, To: from, Outcome: Bequeathed, At: now}); err != nil {
			return nil, err
		}
		d.To = Box{Member: from.Member}
		if err := AddDelivery(tx, d); err != nil {
			return nil, err
		}
	}
	return left, nil
}

const listBequest = `SELECT d.message, d.sender, d.urgent, d.bytes FROM delivery d JOIN message m ON m.n = d.message
	WHERE d.member = $1 AND d.session = $2 AND d.state = 0 AND m.kind >= $3 AND d.sender <> d.member
		AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.message = d.message AND o.member = d.member AND o.session = 0)
	ORDER BY d.message`

// Had is a copy that waits for a session and that its member has: Outcome is how the member's ended.
type Had struct {
	Held
	Bytes int64 // as in Delivery
}

const listHad = `SELECT d.message, m.id, coalesce(m.client_id, ''), d.sender, s.id, o.state, d.bytes FROM delivery d
	JOIN message m ON m.n = d.message
	JOIN member s ON s.n = d.sender
	JOIN delivery o ON o.message = d.message AND o.member = d.member AND o.session = 0
	WHERE d.member = $1 AND d.session = $2 AND d.state = 0 AND m.kind >= $3 AND o.state IN ($4, $5)
	ORDER BY d.message`

// ListHad reads what waits for a session that has ended, was meant for many, and came to its member from another session that
// ended: in its inbox it is already.
func ListHad(tx *sqlite.Tx, from Box) ([]Had, error) {
	rows, err := tx.Query(listHad, from.Member, from.Session, int64(ToGroup), int64(Delivered), int64(Written))
	if err != nil {
		return nil, fmt.Errorf("list what a member has: %w", err)
	}
	var out []Had
	for rows.Next() {
		h := Had{Held: Held{To: from}}
		if err := rows.Scan(&h.Message, &h.ID, &h.ClientID, &h.Sender, &h.SenderID, &h.Outcome, &h.Bytes); err != nil {
			return nil, fmt.Errorf("list what a member has: %w", err)
		}
		out = append(out, h)
	}
	return out, rows.Err()
}

// Silent is a session that has something to leave to its member.
type Silent struct {
	To  Box
	Key mesh.Key
}

const listSilent = `SELECT DISTINCT d.session, k.pubkey FROM delivery d
	JOIN message m ON m.n = d.message
	JOIN session k ON k.n = d.session
	WHERE d.member = $1 AND d.session > 0 AND d.state = 0 AND m.kind >= $2 AND d.sender <> d.member AND k.last_seen < $3
		AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.message = d.message AND o.member = d.member AND o.session = 0
			AND o.state NOT IN ($4, $5))`

// ListSilent reads the sessions of a member for which something waits that was meant for many, and that were not noted as
// connected since a time: those of which Bequeath or ListHad has something. What is spread it does not see.
func ListSilent(tx *sqlite.Tx, member int64, since time.Time) ([]Silent, error) {
	rows, err := tx.Query(listSilent, member, int64(ToGroup), ms(since), int64(Delivered), int64(Written))
	if err != nil {
		return nil, fmt.Errorf("list silent sessions: %w", err)
	}
	var out []Silent
	for rows.Next() {
		s := Silent{To: Box{Member: member}}
		if err := rows.Scan(&s.To.Session, &s.Key); err != nil {
			return nil, fmt.Errorf("list silent sessions: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}
