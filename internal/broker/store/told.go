package store

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Held is a copy that its reader may tell something of.
type Held struct {
	Message  int64 // Message.N
	ID       mesh.ID
	ClientID mesh.ClientID
	Sender   int64 // Member.N
	SenderID mesh.ID
	To       Box
	Outcome  Outcome
}

const (
	findMailbox = `SELECT coalesce(k.n, 0) FROM member r LEFT JOIN session k ON k.mesh_id = r.mesh_id AND k.pubkey = $2 AND k.member = r.n
		WHERE r.n = $1 AND (k.n IS NOT NULL OR r.peer_pubkey = $2)`
	findSent = `SELECT m.n, coalesce(m.client_id, ''), m.sender, s.id FROM message m JOIN member s ON s.n = m.sender WHERE m.id = $1`
	findLeft = `SELECT o.state FROM delivery d JOIN delivery o ON o.message = d.message AND o.member = d.member AND o.session = 0
		WHERE d.message = $1 AND d.member = $2 AND d.session = $3 AND d.state = $4`
)

// FindHeld reads the copy of a message in a mailbox of a member, by its key: a session's, or the member's own. It is
// not_found where the member has none there. What a session left to its member, and may have stored before it ended, has come
// as far as the member's.
func FindHeld(tx *sqlite.Tx, id mesh.ID, member int64, key mesh.Key) (Held, error) {
	h := Held{ID: id, To: Box{Member: member}}
	err := tx.QueryRow(findMailbox, member, key).Scan(&h.To.Session)
	if err == nil {
		err = tx.QueryRow(findSent, id).Scan(&h.Message, &h.ClientID, &h.Sender, &h.SenderID)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return h, fmt.Errorf("find copy: %w", err)
	}
	var copies []FoundCopy
	if err == nil {
		if copies, err = listCopies(tx, h.Message); err != nil {
			return h, err
		}
	}
	i := slices.IndexFunc(copies, func(c FoundCopy) bool { return c.box == h.To })
	if i < 0 && h.Message != 0 {
		err = tx.QueryRow(findLeft, h.Message, member, h.To.Session, int64(Bequeathed)).Scan(&h.Outcome)
		if err == nil {
			return h, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return h, fmt.Errorf("find copy: %w", err)
		}
	}
	if i < 0 {
		return h, mesh.Errorf(mesh.NotFound, "there is no such message in this mailbox")
	}
	h.Outcome = copies[i].Outcome
	return h, nil
}

// Told is what a reader told of a copy.
type Told struct {
	Held
	State   Outcome // Surfaced or Acknowledged
	Proof   []byte
	Receipt int64
	Run     int64
	At      time.Time
}

// AddTold keeps what a reader told. It reports false when as much was told before: a state never goes back.
func AddTold(tx *sqlite.Tx, t Told) (bool, error) {
	n, err := tx.Exec(`INSERT INTO told (message, member, session, state, sender, told_at, receipt, run, proof)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
		WHERE NOT EXISTS (SELECT 1 FROM told WHERE message = $1 AND member = $2 AND session = $3 AND state >= $4)`,
		t.Message, t.To.Member, t.To.Session, int64(t.State), t.Sender, ms(t.At), t.Receipt, t.Run, t.Proof)
	if err != nil {
		return false, fmt.Errorf("keep what a reader told: %w", err)
	}
	return n > 0, nil
}

const listTold = `SELECT d.receipt, m.id, coalesce(m.client_id, ''), coalesce(k.pubkey, r.peer_pubkey), d.state, d.told_at, d.proof
	FROM told d
	JOIN message m ON m.n = d.message
	JOIN member r ON r.n = d.member
	LEFT JOIN session k ON k.n = d.session
	WHERE d.run = $1 AND d.sender = $2 AND d.receipt > $3
	ORDER BY d.receipt LIMIT $4`

// receiptsTold reads the receipts of what readers told.
func receiptsTold(tx *sqlite.Tx, p receiptPage) ([]Receipt, error) {
	rows, err := tx.Query(listTold, p.run, p.sender, p.after, p.limit)
	if err != nil {
		return nil, fmt.Errorf("list receipts: %w", err)
	}
	var out []Receipt
	for rows.Next() {
		var r Receipt
		var told int64
		if err := rows.Scan(&r.Seq, &r.Message, &r.ClientID, &r.Recipient, &r.Outcome, &told, &r.Proof); err != nil {
			return nil, fmt.Errorf("list receipts: %w", err)
		}
		r.Proof, r.At = slices.Clone(r.Proof), at(told)
		out = append(out, r)
	}
	return out, rows.Err()
}
