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

const listRun = `SELECT d.receipt, m.id, coalesce(m.client_id, ''), coalesce(k.pubkey, r.peer_pubkey), d.state, d.final_at
	FROM delivery d
	JOIN message m ON m.n = d.message
	JOIN member r ON r.n = d.member
	LEFT JOIN session k ON k.n = d.session
	WHERE d.run = $1 AND d.sender = $2 AND d.receipt > $3 AND d.run > 0
	ORDER BY d.receipt LIMIT $4`

// ListReceipts reads the receipts of a sending member after one, oldest first.
func ListReceipts(tx *sqlite.Tx, sender, after int64, limit int) ([]Receipt, error) {
	run, last, err := runOf(tx, sender, after)
	if err != nil {
		return nil, err
	}
	var out []Receipt
	for ; run <= last && len(out) < limit; run++ {
		rows, err := tx.Query(listRun, run, sender, after, limit-len(out))
		if err != nil {
			return nil, fmt.Errorf("list receipts: %w", err)
		}
		for rows.Next() {
			var r Receipt
			var final int64
			if err := rows.Scan(&r.Seq, &r.Message, &r.ClientID, &r.Recipient, &r.Outcome, &final); err != nil {
				return nil, fmt.Errorf("list receipts: %w", err)
			}
			r.At = at(final)
			out = append(out, r)
		}
		if rows.Err() != nil {
			return nil, rows.Err()
		}
	}
	return out, nil
}

const (
	firstRun    = `SELECT coalesce(min(run), 0) FROM delivery WHERE run > 0`
	lastRun     = `SELECT coalesce(max(run), 0) FROM delivery WHERE run > 0`
	firstOfRun  = `SELECT coalesce(min(receipt), 0) FROM delivery WHERE run = $1 AND sender = $2 AND run > 0`
	lastReceipt = `SELECT CASE WHEN u.used > m.receipt_seq THEN u.used ELSE m.receipt_seq END
		FROM member m, (SELECT coalesce(max(receipt), 0) AS used FROM delivery WHERE run = $1 AND sender = $2 AND run > 0) u
		WHERE m.n = $2`
)

// runOf finds the run in which the receipts of a sender after one begin, and the last run.
func runOf(tx *sqlite.Tx, sender, after int64) (first, last int64, err error) {
	if last, err = LastRun(tx); err != nil {
		return 0, 0, err
	}
	newest, err := LastReceipt(tx, sender, last)
	if err != nil || newest <= after {
		return last + 1, last, err
	}
	if first, err = number(tx, firstRun); err != nil {
		return 0, 0, err
	}
	for run := last; run > first; run-- {
		lowest, err := number(tx, firstOfRun, run, sender)
		if err != nil {
			return 0, 0, err
		}
		if lowest > 0 && lowest <= after+1 {
			return run, last, nil
		}
	}
	return first, last, nil
}

// LastRun returns the highest run in use, 0 when there is no receipt.
func LastRun(tx *sqlite.Tx) (int64, error) { return number(tx, lastRun) }

// LastReceipt returns the highest number that a member's receipts have had, pruned ones too, when all runs before run
// are closed.
func LastReceipt(tx *sqlite.Tx, sender, run int64) (int64, error) {
	return number(tx, lastReceipt, run, sender)
}

const closeRun = `UPDATE member SET
	receipt_seq = max(receipt_seq, (SELECT max(d.receipt) FROM delivery d WHERE d.run = $1 AND d.sender = member.n AND d.run > 0))
	WHERE n IN (SELECT d.sender FROM delivery d WHERE d.run = $1 AND d.run > 0)`

// CloseRun notes how far the receipts of each sender have come, when a run gets no more of them. The highest may have been
// pruned: a message can be older than those whose receipts came before its own.
func CloseRun(tx *sqlite.Tx, run int64) error {
	if _, err := tx.Exec(closeRun, run); err != nil {
		return fmt.Errorf("close run of receipts: %w", err)
	}
	return nil
}

// number reads one number.
func number(tx *sqlite.Tx, query string, args ...any) (int64, error) {
	var n int64
	if err := tx.QueryRow(query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("read receipts: %w", err)
	}
	return n, nil
}
