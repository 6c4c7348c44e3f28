package store

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Box is a mailbox by the numbers of this database.
type Box struct {
	Member  int64 // Member.N
	Session int64 // Session.N, 0 for the member's own mailbox
}

// Outcome is the state of one copy of a message. The numbers are stored.
type Outcome int64

// The outcomes. Written is final without proof: a client that never acknowledges was sent it.
const (
	Waiting   Outcome = 0
	Delivered Outcome = 1
	Written   Outcome = 2
	Expired   Outcome = 3
	Rejected  Outcome = 4
	Withdrawn Outcome = 5 // the sender was banned

	Surfaced     Outcome = 6 // told by the reader of a copy that is final; in the table told, as the next one
	Acknowledged Outcome = 7

	Bequeathed Outcome = 8 // the copy of a session that ended; its member has one instead
)

// State is what a sender may be told: a written copy is only known to have been accepted (design B3).
func (o Outcome) State() mesh.State {
	switch o {
	case Delivered:
		return mesh.StateDelivered
	case Surfaced:
		return mesh.StateSurfaced
	case Acknowledged:
		return mesh.StateAcknowledged
	case Expired:
		return mesh.StateExpired
	case Rejected, Withdrawn:
		return mesh.StateRejected
	case Waiting, Written, Bequeathed:
	}
	return mesh.StateAccepted
}

// Cap is the capability that a message of a kind needs (wire 8.1).
func (k Kind) Cap() mesh.Caps {
	if k == ToMember || k == ToSession {
		return mesh.CapsOf(mesh.CapDM)
	}
	return mesh.CapsOf(mesh.CapBroadcast)
}

// Delivery is one copy of a message.
type Delivery struct {
	Message int64 // Message.N
	To      Box
	Sender  int64 // Member.N
	Urgent  bool  // priority now
	Bytes   int64 // charged to the recipient while it waits
}

// AddDelivery inserts a waiting copy.
func AddDelivery(tx *sqlite.Tx, d Delivery) error {
	_, err := tx.Exec(`INSERT INTO delivery (message, member, session, sender, urgent, bytes) VALUES ($1, $2, $3, $4, $5, $6)`,
		d.Message, d.To.Member, d.To.Session, d.Sender, d.Urgent, d.Bytes)
	if err != nil {
		return fmt.Errorf("add delivery: %w", err)
	}
	return nil
}

// copiesAtOnce is how many copies one statement inserts: each by itself costs a fifth more.
const copiesAtOnce = 20

var addCopies = sync.OnceValue(func() string {
	var b strings.Builder
	b.WriteString("INSERT INTO delivery (message, sender, urgent, bytes, member, session) VALUES ")
	for i := range copiesAtOnce {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "($1, $2, $3, $4, $%d, $%d)", 5+2*i, 6+2*i)
	}
	return b.String()
})

// AddDeliveries inserts a waiting copy for each mailbox; d.To does not count.
func AddDeliveries(tx *sqlite.Tx, d Delivery, to []Box) error {
	args := make([]any, 0, 4+2*copiesAtOnce)
	for ; len(to) >= copiesAtOnce; to = to[copiesAtOnce:] {
		args = append(args[:0], d.Message, d.Sender, d.Urgent, d.Bytes)
		for _, box := range to[:copiesAtOnce] {
			args = append(args, box.Member, box.Session)
		}
		if _, err := tx.Exec(addCopies(), args...); err != nil {
			return fmt.Errorf("add deliveries: %w", err)
		}
	}
	for _, d.To = range to {
		if err := AddDelivery(tx, d); err != nil {
			return err
		}
	}
	return nil
}

// Final is the end of a waiting copy.
type Final struct {
	Message int64 // Message.N
	To      Box
	Outcome Outcome
	Receipt int64 // number among the receipts of its sender, 0 for none
	Run     int64 // of the receipt
	At      time.Time
}

const finishDelivery = `UPDATE delivery SET state = $4, receipt = $5, run = $6, final_at = $7
	WHERE message = $1 AND member = $2 AND session = $3 AND state = 0`

// FinishDelivery ends a waiting copy. It reports false when the copy was final before, or is gone.
func FinishDelivery(tx *sqlite.Tx, f Final) (bool, error) {
	n, err := tx.Exec(finishDelivery, f.Message, f.To.Member, f.To.Session, int64(f.Outcome), f.Receipt, f.Run, ms(f.At))
	if err != nil {
		return false, fmt.Errorf("finish delivery: %w", err)
	}
	return n > 0, nil
}

// Page selects waiting copies of a mailbox.
type Page struct {
	After      int64 // Message.N
	UrgentOnly bool
	Limit      int
}

// Copy is a waiting copy with what its recipient is told of the sender.
type Copy struct {
	Message
	SenderID   mesh.ID
	SenderKey  mesh.Key
	SessionKey mesh.Key // the sender's; empty without one
	Urgent     bool
	Bytes      int64
}

const selectWaiting = `SELECT m.n, m.id, coalesce(m.client_id, ''), m.fingerprint, m.created_at, m.sender_name, m.kind, m.target,
		m.priority, m.reply_to, m.trace, m.body_version, m.nonce, m.ciphertext, m.auth,
		m.sender, s.id, s.peer_pubkey, coalesce(k.pubkey, ''), d.urgent, d.bytes
	FROM delivery d
	JOIN message m ON m.n = d.message
	JOIN member s ON s.n = m.sender
	LEFT JOIN session k ON k.n = m.sender_session
	WHERE d.member = $1 AND d.session = $2 AND d.state = 0 AND d.message > $3 AND d.urgent >= $4
		AND NOT EXISTS (SELECT 1 FROM ban b WHERE b.member = d.sender)`

const (
	listWaiting   = selectWaiting + ` ORDER BY d.message LIMIT $5`
	listPermitted = selectWaiting + `
	AND (d.sender = d.member OR (coalesce(
		(SELECT g.caps FROM peer_grant g WHERE g.member = d.member AND g.pubkey = s.peer_pubkey),
		(SELECT g.caps FROM peer_grant g WHERE g.member = d.member AND g.pubkey = k.pubkey),
		$6) & CASE WHEN m.kind <= 2 THEN $7 ELSE $8 END) <> 0)
	ORDER BY d.message LIMIT $5`
)

// ListWaiting reads a page of a mailbox in the order of acceptance, without what somebody sent who is banned.
func ListWaiting(tx *sqlite.Tx, to Box, p Page) ([]Copy, error) {
	return listPage(tx, listWaiting, to.Member, to.Session, p.After, p.UrgentOnly, p.Limit)
}

// ListPermitted is ListWaiting without what the member, by its grants, does not let the sender do: that goes on to wait.
func ListPermitted(tx *sqlite.Tx, to Box, p Page) ([]Copy, error) {
	return listPage(tx, listPermitted, to.Member, to.Session, p.After, p.UrgentOnly, p.Limit,
		int64(mesh.DefaultCaps), int64(mesh.CapsOf(mesh.CapDM)), int64(mesh.CapsOf(mesh.CapBroadcast)))
}

func listPage(tx *sqlite.Tx, query string, args ...any) ([]Copy, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("list waiting: %w", err)
	}
	var out []Copy
	for rows.Next() {
		var c Copy
		var created, priority int64
		err := rows.Scan(&c.N, &c.ID, &c.ClientID, &c.Fingerprint, &created, &c.SenderName, &c.Kind, &c.Target,
			&priority, &c.ReplyTo, &c.Trace, &c.BodyVersion, &c.Nonce, &c.Ciphertext, &c.Auth,
			&c.Sender, &c.SenderID, &c.SenderKey, &c.SessionKey, &c.Urgent, &c.Bytes)
		if err != nil {
			return nil, fmt.Errorf("list waiting: %w", err)
		}
		c.CreatedAt, c.Priority = at(created), priorityName(priority)
		out = append(out, c)
	}
	return out, rows.Err()
}

// Usage is what one sender has waiting in one mailbox.
type Usage struct {
	Mesh   mesh.ID
	Sender int64 // Member.N
	To     Box
	Rows   int
	Bytes  int64
}

// ListUsage adds up all that waits.
func ListUsage(tx *sqlite.Tx) ([]Usage, error) {
	rows, err := tx.Query(`SELECT r.mesh_id, u.sender, u.member, u.session, u.copies, u.bytes
		FROM (SELECT sender, member, session, count(*) AS copies, sum(bytes) AS bytes
			FROM delivery WHERE state = 0 GROUP BY sender, member, session) u
		JOIN member r ON r.n = u.member`)
	if err != nil {
		return nil, fmt.Errorf("add up what waits: %w", err)
	}
	var out []Usage
	for rows.Next() {
		var u Usage
		if err := rows.Scan(&u.Mesh, &u.Sender, &u.To.Member, &u.To.Session, &u.Rows, &u.Bytes); err != nil {
			return nil, fmt.Errorf("add up what waits: %w", err)
		}
		out = append(out, u)
	}
	return out, rows.Err()
}
