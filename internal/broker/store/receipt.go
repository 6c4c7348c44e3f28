package store

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Receipt is a final copy, or what its reader told of it, as its sender is told.
type Receipt struct {
	Seq       int64 // among the receipts of the sender, from 1 without gaps
	Message   mesh.ID
	ClientID  mesh.ClientID
	Recipient mesh.Key // session key for a session's mailbox, else member key
	Outcome   Outcome
	At        time.Time
	Proof     []byte // the reader's; nil for what the broker says
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
	names := recipients{}
	for ; run <= last && len(out) < limit; run++ {
		page := receiptPage{run, sender, after, limit - len(out)}
		alone, err := receiptsAlone(tx, page)
		if err != nil {
			return nil, err
		}
		together, err := receiptsTogether(tx, names, page)
		if err != nil {
			return nil, err
		}
		told, err := receiptsTold(tx, page)
		if err != nil {
			return nil, err
		}
		all := slices.Concat(alone, together, told)
		slices.SortFunc(all, func(a, b Receipt) int { return cmp.Compare(a.Seq, b.Seq) })
		out = append(out, all[:min(len(all), limit-len(out))]...)
	}
	return out, nil
}

// receiptPage selects receipts of one run.
type receiptPage struct {
	run, sender, after int64
	limit              int
}

// receiptsAlone reads those that are rows of delivery.
func receiptsAlone(tx *sqlite.Tx, p receiptPage) ([]Receipt, error) {
	rows, err := tx.Query(listRun, p.run, p.sender, p.after, p.limit)
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

// receiptsTogether reads those that were settled together.
func receiptsTogether(tx *sqlite.Tx, names recipients, page receiptPage) ([]Receipt, error) {
	parts, err := listSettled(tx, settledOfRun, page.run, page.sender, page.after, page.limit)
	if err != nil {
		return nil, err
	}
	var out []Receipt
	for i := range parts {
		p := &parts[i]
		for place, box := range p.Boxes {
			seq := p.Receipt + int64(place)
			if seq <= page.after {
				continue
			}
			if len(out) >= page.limit {
				return out, nil
			}
			who, err := names.of(tx, box)
			if err != nil {
				return nil, err
			}
			out = append(out, Receipt{Seq: seq, Message: p.id, ClientID: p.clientID, Recipient: who.Key, Outcome: p.Outcome, At: p.At})
		}
	}
	return out, nil
}

// recipients remembers who mailboxes belong to.
type recipients map[Box]FoundCopy

const recipientOf = `SELECT r.id, coalesce(k.display_name, r.display_name), coalesce(k.pubkey, r.peer_pubkey)
	FROM member r LEFT JOIN session k ON k.n = $2 WHERE r.n = $1`

// of gives a copy with its recipient filled in.
func (r recipients) of(tx *sqlite.Tx, box Box) (FoundCopy, error) {
	if c, ok := r[box]; ok {
		return c, nil
	}
	c := FoundCopy{Session: box.Session != 0, box: box}
	err := tx.QueryRow(recipientOf, box.Member, box.Session).Scan(&c.Member, &c.Name, &c.Key)
	if err != nil && !errors.Is(err, sql.ErrNoRows) { // who is gone without a trace has no name
		return c, fmt.Errorf("read recipient: %w", err)
	}
	r[box] = c
	return c, nil
}

const (
	firstRun = `SELECT coalesce(min(run), 0) FROM (
		SELECT min(run) AS run FROM delivery WHERE run > 0 UNION ALL SELECT min(run) FROM settled WHERE run > 0 UNION ALL SELECT min(run) FROM told)`
	lastRun = `SELECT coalesce(max(run), 0) FROM (
		SELECT max(run) AS run FROM delivery WHERE run > 0 UNION ALL SELECT max(run) FROM settled WHERE run > 0 UNION ALL SELECT max(run) FROM told)`
	firstOfRun = `SELECT coalesce(min(receipt), 0) FROM (
		SELECT min(receipt) AS receipt FROM delivery WHERE run = $1 AND sender = $2 AND run > 0
		UNION ALL SELECT min(first_receipt) FROM settled WHERE run = $1 AND sender = $2 AND run > 0
		UNION ALL SELECT min(receipt) FROM told WHERE run = $1 AND sender = $2)`
	lastReceipt = `SELECT max(
			(SELECT receipt_seq FROM member WHERE n = $2),
			(SELECT coalesce(max(receipt), 0) FROM delivery WHERE run = $1 AND sender = $2 AND run > 0),
			(SELECT coalesce(max(last_receipt), 0) FROM settled WHERE run = $1 AND sender = $2 AND run > 0),
			(SELECT coalesce(max(receipt), 0) FROM told WHERE run = $1 AND sender = $2))`
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

const closeRun = `UPDATE member SET receipt_seq = max(receipt_seq,
		(SELECT coalesce(max(d.receipt), 0) FROM delivery d WHERE d.run = $1 AND d.sender = member.n AND d.run > 0),
		(SELECT coalesce(max(d.last_receipt), 0) FROM settled d WHERE d.run = $1 AND d.sender = member.n AND d.run > 0),
		(SELECT coalesce(max(d.receipt), 0) FROM told d WHERE d.run = $1 AND d.sender = member.n))
	WHERE n IN (SELECT d.sender FROM delivery d WHERE d.run = $1 AND d.run > 0
		UNION SELECT d.sender FROM settled d WHERE d.run = $1 AND d.run > 0
		UNION SELECT d.sender FROM told d WHERE d.run = $1)`

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
