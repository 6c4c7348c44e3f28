package store

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Spread is a message to several mailboxes whose waiting copies are one record.
type Spread struct {
	Message int64 // Message.N
	Sender  int64 // Member.N
	Urgent  bool  // priority now
	Bytes   int64 // charged to each recipient while its copy waits
	Boxes   []Box
}

// AddSpread inserts copies that wait.
func AddSpread(tx *sqlite.Tx, s *Spread) error {
	_, err := tx.Exec(`INSERT INTO spread (message, sender, urgent, bytes, boxes) VALUES ($1, $2, $3, $4, $5)`,
		s.Message, s.Sender, s.Urgent, s.Bytes, packBoxes(s.Boxes))
	if err != nil {
		return fmt.Errorf("add spread: %w", err)
	}
	return nil
}

// CloseSpread forgets the record of a message none of whose copies waits there any more.
func CloseSpread(tx *sqlite.Tx, message int64) error {
	if _, err := tx.Exec(`DELETE FROM spread WHERE message = $1`, message); err != nil {
		return fmt.Errorf("close spread: %w", err)
	}
	return nil
}

// Unfold gives waiting copies of a spread message rows of their own, where they wait on.
func Unfold(tx *sqlite.Tx, s *Spread, to []Box) error {
	return AddDeliveries(tx, Delivery{Message: s.Message, Sender: s.Sender, Urgent: s.Urgent, Bytes: s.Bytes}, to)
}

// UnfoldAll unfolds all that is spread: what a process that ended had not settled.
func UnfoldAll(tx *sqlite.Tx) error {
	all, err := listSpreads(tx)
	if err != nil {
		return err
	}
	for i := range all {
		if err := Unfold(tx, &all[i], all[i].Boxes); err != nil {
			return err
		}
		if err := CloseSpread(tx, all[i].Message); err != nil {
			return err
		}
	}
	return nil
}

// Settlement is the end of several copies of a spread message at once.
type Settlement struct {
	Message int64 // Message.N
	Part    int64 // counts the settlements of the message
	Sender  int64 // Member.N
	Outcome Outcome
	At      time.Time
	Receipt int64 // number of the first among the receipts of the sender, 0 for none; the others follow
	Run     int64 // of the receipts
	Boxes   []Box
}

// Settle ends copies of a spread message that wait.
func Settle(tx *sqlite.Tx, s *Settlement) error {
	last := int64(0)
	if s.Receipt > 0 {
		last = s.Receipt + int64(len(s.Boxes)) - 1
	}
	_, err := tx.Exec(`INSERT INTO settled (message, part, sender, state, final_at, first_receipt, last_receipt, run, boxes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		s.Message, s.Part, s.Sender, int64(s.Outcome), ms(s.At), s.Receipt, last, s.Run, packBoxes(s.Boxes))
	if err != nil {
		return fmt.Errorf("settle copies: %w", err)
	}
	return nil
}

// listSpreads reads what is spread, each with the boxes whose copies wait there.
func listSpreads(tx *sqlite.Tx) ([]Spread, error) {
	return readSpreads(tx, `SELECT message, sender, urgent, bytes, boxes FROM spread ORDER BY message`)
}

const spreadOf = `SELECT message, sender, urgent, bytes, boxes FROM spread WHERE message = $1`

func readSpreads(tx *sqlite.Tx, query string, args ...any) ([]Spread, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("list spreads: %w", err)
	}
	var out []Spread
	for rows.Next() {
		var s Spread
		var packed []byte
		if err := rows.Scan(&s.Message, &s.Sender, &s.Urgent, &s.Bytes, &packed); err != nil {
			return nil, fmt.Errorf("list spreads: %w", err)
		}
		if s.Boxes, err = unpackBoxes(packed); err != nil {
			return nil, fmt.Errorf("list spreads: %w", err)
		}
		out = append(out, s)
	}
	if rows.Err() != nil {
		return nil, rows.Err()
	}
	for i := range out {
		if err := out[i].keepWaiting(tx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// keepWaiting drops the boxes whose copies are final or have a row of their own.
func (s *Spread) keepWaiting(tx *sqlite.Tx) error {
	gone := map[Box]bool{}
	parts, err := listSettled(tx, settledOf, s.Message)
	if err != nil {
		return err
	}
	for i := range parts {
		for _, box := range parts[i].Boxes {
			gone[box] = true
		}
	}
	rows, err := tx.Query(`SELECT member, session FROM delivery WHERE message = $1`, s.Message)
	if err != nil {
		return fmt.Errorf("list copies: %w", err)
	}
	for rows.Next() {
		var box Box
		if err := rows.Scan(&box.Member, &box.Session); err != nil {
			return fmt.Errorf("list copies: %w", err)
		}
		gone[box] = true
	}
	s.Boxes = slices.DeleteFunc(s.Boxes, func(b Box) bool { return gone[b] })
	return rows.Err()
}

// settlement is a Settlement as it is read, with what its receipts say of the message.
type settlement struct {
	Settlement
	id       mesh.ID
	clientID mesh.ClientID
}

const (
	selectSettled = `SELECT d.message, d.state, d.final_at, d.first_receipt, d.boxes, m.id, coalesce(m.client_id, '')
		FROM settled d JOIN message m ON m.n = d.message`
	settledOf    = selectSettled + ` WHERE d.message = $1 ORDER BY d.part`
	settledOfRun = selectSettled + ` WHERE d.run = $1 AND d.sender = $2 AND d.last_receipt > $3 AND d.run > 0
		ORDER BY d.last_receipt LIMIT $4`
)

func listSettled(tx *sqlite.Tx, query string, args ...any) ([]settlement, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("list settled copies: %w", err)
	}
	var out []settlement
	for rows.Next() {
		var s settlement
		var final int64
		var packed []byte
		if err := rows.Scan(&s.Message, &s.Outcome, &final, &s.Receipt, &packed, &s.id, &s.clientID); err != nil {
			return nil, fmt.Errorf("list settled copies: %w", err)
		}
		if s.Boxes, err = unpackBoxes(packed); err != nil {
			return nil, fmt.Errorf("list settled copies: %w", err)
		}
		s.At = at(final)
		out = append(out, s)
	}
	return out, rows.Err()
}

// packBoxes writes mailboxes as pairs of varints, each number as its difference from the one before: neighbours in a
// mesh have joined together, and take two to four bytes.
func packBoxes(boxes []Box) []byte {
	out := make([]byte, 0, 4*len(boxes))
	var last Box
	for _, b := range boxes {
		out = binary.AppendVarint(out, b.Member-last.Member)
		out = binary.AppendVarint(out, b.Session-last.Session)
		last = b
	}
	return out
}

func unpackBoxes(packed []byte) ([]Box, error) {
	var out []Box
	var last Box
	for len(packed) > 0 {
		for _, n := range []*int64{&last.Member, &last.Session} {
			step, size := binary.Varint(packed)
			if size <= 0 {
				return nil, mesh.Errorf(mesh.StoreCorrupt, "a list of mailboxes in the store is damaged")
			}
			*n += step
			packed = packed[size:]
		}
		out = append(out, last)
	}
	return out, nil
}
