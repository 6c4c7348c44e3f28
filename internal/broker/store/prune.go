package store

import (
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Overdue is a copy that is to end without delivery, with what its receipt says.
type Overdue struct {
	Delivery
	ID        mesh.ID
	ClientID  mesh.ClientID
	SenderID  mesh.ID
	Mesh      mesh.ID
	Recipient mesh.ID  // member
	Session   mesh.Key // empty for the member's own mailbox
	Key       mesh.Key // session key, else the member's
}

const selectOverdue = `SELECT d.message, d.member, d.session, d.sender, d.urgent, d.bytes,
		m.id, coalesce(m.client_id, ''), s.id, r.mesh_id, r.id, coalesce(k.pubkey, ''), coalesce(k.pubkey, r.peer_pubkey)
	FROM delivery d
	JOIN message m ON m.n = d.message
	JOIN member s ON s.n = d.sender
	JOIN member r ON r.n = d.member
	LEFT JOIN session k ON k.n = d.session
	WHERE d.state = 0`

const (
	listOverdue = selectOverdue + ` AND (m.id < $1
		OR r.revoked_at <> 0 AND NOT EXISTS (SELECT 1 FROM ban b WHERE b.member = r.n)) LIMIT $2`
	listBannedMail = selectOverdue + ` AND d.sender IN (SELECT b.member FROM ban b) LIMIT $1`
)

// ListOverdue reads waiting copies of messages that were accepted before a time, and those of former members. Who is
// banned may come back: its mail waits as that of somebody who is away.
func ListOverdue(tx *sqlite.Tx, before time.Time, limit int) ([]Overdue, error) {
	return listEnding(tx, listOverdue, idTime(before), limit)
}

// ListBannedMail reads the waiting copies of what those have sent who are banned.
func ListBannedMail(tx *sqlite.Tx, limit int) ([]Overdue, error) {
	return listEnding(tx, listBannedMail, limit)
}

func listEnding(tx *sqlite.Tx, query string, args ...any) ([]Overdue, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("list overdue: %w", err)
	}
	var out []Overdue
	for rows.Next() {
		var o Overdue
		err := rows.Scan(&o.Message, &o.To.Member, &o.To.Session, &o.Sender, &o.Urgent, &o.Bytes,
			&o.ID, &o.ClientID, &o.SenderID, &o.Mesh, &o.Recipient, &o.Session, &o.Key)
		if err != nil {
			return nil, fmt.Errorf("list overdue: %w", err)
		}
		out = append(out, o)
	}
	return out, rows.Err()
}

// waitsForNobody holds for a message all of whose copies are final. A spread message has its row until then.
const waitsForNobody = `NOT EXISTS (SELECT 1 FROM delivery d WHERE d.message = message.n AND d.state = 0)
	AND NOT EXISTS (SELECT 1 FROM spread p WHERE p.message = message.n)`

const dropBodies = `UPDATE message SET nonce = $3, ciphertext = $3, auth = NULL
	WHERE n BETWEEN $1 AND $2 AND length(ciphertext) > 0
	AND ` + waitsForNobody

// DropBodies forgets the bodies of the messages with numbers from first to last that wait for nobody (design D3).
func DropBodies(tx *sqlite.Tx, first, last int64) error {
	if _, err := tx.Exec(dropBodies, first, last, []byte{}); err != nil {
		return fmt.Errorf("drop bodies: %w", err)
	}
	return nil
}

const listOld = `SELECT n FROM message WHERE id < $1
	AND ` + waitsForNobody + `
	ORDER BY id LIMIT $2`

// PruneMessages deletes up to limit messages that were accepted before a time and wait for nobody, with their copies
// and receipts, and reports how many. The numbers of receipts go on from where they were.
func PruneMessages(tx *sqlite.Tx, before time.Time, limit int) (int, error) {
	return pruneMessages(tx, listOld, idTime(before), limit)
}

const listOldOf = `SELECT n FROM message WHERE sender = $1
	AND ` + waitsForNobody + `
	ORDER BY n LIMIT $2`

// TrimMessages deletes up to limit of the oldest messages of a sender that wait for nobody, and reports how many.
func TrimMessages(tx *sqlite.Tx, sender int64, limit int) (int, error) {
	return pruneMessages(tx, listOldOf, sender, limit)
}

func pruneMessages(tx *sqlite.Tx, list string, args ...any) (int, error) {
	old, err := numbers(tx, list, args...)
	if err != nil {
		return 0, fmt.Errorf("prune messages: %w", err)
	}
	for _, n := range old {
		for _, text := range []string{
			`UPDATE member SET receipt_seq = last FROM (SELECT max(
					(SELECT coalesce(max(receipt), 0) FROM delivery WHERE message = $1),
					(SELECT coalesce(max(last_receipt), 0) FROM settled WHERE message = $1),
					(SELECT coalesce(max(receipt), 0) FROM told WHERE message = $1)) AS last)
				WHERE n = (SELECT sender FROM message WHERE n = $1) AND receipt_seq < last`,
			`DELETE FROM delivery WHERE message = $1`,
			`DELETE FROM settled WHERE message = $1`,
			`DELETE FROM told WHERE message = $1`,
			`DELETE FROM message WHERE n = $1`,
		} {
			if _, err := tx.Exec(text, n); err != nil {
				return 0, fmt.Errorf("prune messages: %w", err)
			}
		}
	}
	return len(old), nil
}

// Remembered counts the messages of one sender.
type Remembered struct {
	Sender   int64 // Member.N
	Messages int
}

// ListCrowded reads the senders with more than limit messages.
func ListCrowded(tx *sqlite.Tx, limit int) ([]Remembered, error) {
	rows, err := tx.Query(`SELECT sender, count(*) FROM message GROUP BY sender HAVING count(*) > $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("count messages: %w", err)
	}
	var out []Remembered
	for rows.Next() {
		var r Remembered
		if err := rows.Scan(&r.Sender, &r.Messages); err != nil {
			return nil, fmt.Errorf("count messages: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

const pruneSessions = `DELETE FROM session WHERE last_seen < $1`

// PruneSessions forgets session keys not seen since a time, which is before the oldest message.
func PruneSessions(tx *sqlite.Tx, before time.Time) error {
	if _, err := tx.Exec(pruneSessions, ms(before)); err != nil {
		return fmt.Errorf("prune sessions: %w", err)
	}
	return nil
}

func numbers(tx *sqlite.Tx, query string, args ...any) ([]int64, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	var out []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}
