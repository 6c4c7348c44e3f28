package store

import (
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Receipt is a final copy as its sender is told of it.
type Receipt struct {
	Seq       int64 // among the receipts of the sender, from 1 without gaps
	Message   mesh.ID
	ClientID  mesh.ClientID
	Recipient mesh.Key // session key for a session's mailbox, else member key
	Outcome   Outcome
	At        time.Time
}

const listReceipts = `SELECT d.receipt, m.id, coalesce(m.client_id, ''), coalesce(k.pubkey, r.peer_pubkey), d.state, d.final_at
	FROM delivery d
	JOIN message m ON m.n = d.message
	JOIN member r ON r.n = d.member
	LEFT JOIN session k ON k.n = d.session
	WHERE d.sender = $1 AND d.receipt > $2 AND d.receipt > 0
	ORDER BY d.receipt LIMIT $3`

// ListReceipts reads the receipts of a sending member after one, oldest first.
func ListReceipts(tx *sqlite.Tx, sender, after int64, limit int) ([]Receipt, error) {
	rows, err := tx.Query(listReceipts, sender, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list receipts: %w", err)
	}
	var out []Receipt
	for rows.Next() {
		var r Receipt
		var final int64
		if err := rows.Scan(&r.Seq, &r.Message, &r.ClientID, &r.Recipient, &r.Outcome, &final); err != nil {
			return nil, fmt.Errorf("list receipts: %w", err)
		}
		r.At = at(final)
		out = append(out, r)
	}
	return out, rows.Err()
}

const lastReceipt = `SELECT CASE WHEN u.used > m.receipt_seq THEN u.used ELSE m.receipt_seq END
	FROM member m, (SELECT coalesce(max(receipt), 0) AS used FROM delivery WHERE sender = $1 AND receipt > 0) u
	WHERE m.n = $1`

// LastReceipt returns the highest number that a member's receipts have had, pruned ones too.
func LastReceipt(tx *sqlite.Tx, sender int64) (int64, error) {
	var n int64
	if err := tx.QueryRow(lastReceipt, sender).Scan(&n); err != nil {
		return 0, fmt.Errorf("read last receipt: %w", err)
	}
	return n, nil
}
