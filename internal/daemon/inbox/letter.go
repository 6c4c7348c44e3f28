package inbox

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Reason says why a message became a dead letter.
type Reason string

// The reasons. The first three may pass: then the letter can be redelivered.
const (
	DidNotOpen Reason = "undecryptable" // with no key that was here; a row of the inbox says so
	Unproved   Reason = "unproved"      // it opened, but the proof of its sender did not hold; it is in the inbox
	Blocked    Reason = "blocked"       // the user does not let the sender write
	Copied     Reason = "replayed"      // a copy, under another id, of what was here
	Bounced    Reason = "reflected"     // our own message to somebody else, sent back to us
	Senseless  Reason = "malformed"     // it does not say what every message says
)

// Letter is a message that came and could not be shown, or not as its sender's.
type Letter struct {
	ID         string // of its row of the inbox, where it has one
	MeshID     mesh.ID
	Mesh       string // slug
	Reason     Reason
	ClientID   mesh.ClientID
	BrokerID   mesh.ID
	From       Author
	To         mesh.Key // own key whose connection it came to
	Kind       Kind     // of To
	ReceivedAt time.Time
	Push       []byte // the frame as it came; nil: there is nothing to open
}

// Row is a letter as a gate knows messages.
func (l Letter) Row() Row {
	return Row{
		ID: l.ID, ClientID: l.ClientID, BrokerID: l.BrokerID, MeshID: l.MeshID, Mesh: l.Mesh, Sender: l.From.Key, SenderMember: l.From.Member,
		SenderName: l.From.Name, Recipient: l.To, RecipientKind: l.Kind, ReceivedAt: l.ReceivedAt, Undecryptable: l.Reason != Unproved,
	}
}

// The bounds of the letters: at them the oldest of the same sender goes, else the oldest. A frame that is larger is not kept.
const (
	maxLetters       = 1000
	maxSenderLetters = 100
	maxPushBytes     = 128 << 10
)

// Letters are the dead letters of an inbox.
type Letters struct{ b *Inbox }

// Letters gives the dead letters.
func (b *Inbox) Letters() Letters { return Letters{b} }

// Keep stores a letter that has no row in the inbox. One that is there already stays as it is.
func (l Letters) Keep(ctx context.Context, letter Letter) error {
	letter.ID, letter.ReceivedAt = string(mesh.NewClientID(l.b.now())), l.b.now()
	return sqlite.Coded(l.b.db.Write(ctx, func(tx *sqlite.Tx) error { return insertLetter(tx, letter) }))
}

func insertLetter(tx *sqlite.Tx, l Letter) error {
	if len(l.Push) > maxPushBytes {
		l.Push = nil
	}
	n, err := tx.Exec("INSERT INTO letter ("+letterColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING",
		l.ID, l.MeshID, l.Mesh, l.Reason, l.ClientID, l.BrokerID, l.From.Key, l.From.Member, l.From.Name, l.To, l.Kind, l.ReceivedAt.UnixMilli(), l.Push)
	if err != nil || n == 0 {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM letter WHERE id IN (SELECT id FROM letter WHERE mesh_id = $1 AND sender_pubkey = $2
		ORDER BY received_at DESC, rowid DESC LIMIT -1 OFFSET $3)`, l.MeshID, l.From.Key, maxSenderLetters); err != nil {
		return err
	}
	_, err = tx.Exec("DELETE FROM letter WHERE id IN (SELECT id FROM letter ORDER BY received_at DESC, rowid DESC LIMIT -1 OFFSET $1)", maxLetters)
	return err
}

// PutDead is Put for what could not be opened, or whose sender is not proved: l says why, and has the frame.
func (l Letters) PutDead(ctx context.Context, d Draft, letter Letter) (Row, Verdict, error) {
	return store(ctx, l.b, d, func(tx *sqlite.Tx, r Row) error {
		letter.ID, letter.ReceivedAt = r.ID, r.ReceivedAt
		return insertLetter(tx, letter)
	})
}

const letterColumns = `id, mesh_id, mesh, reason, client_message_id, broker_message_id, sender_pubkey, sender_member_pubkey,
	sender_name, recipient_pubkey, recipient_kind, received_at, push`

// letterScope is the condition of a Scope; its parameters are made by args.
const letterScope = "($1 OR recipient_pubkey IN (SELECT value FROM json_each($2)))"

// List returns letters, newest first, of a mesh or of all, without their frames: Push tells by not being nil whether
// there is one.
func (l Letters) List(ctx context.Context, s Scope, slug string) ([]Letter, error) {
	args, err := s.args(slug)
	if err != nil {
		return nil, err
	}
	return l.query(ctx, letterScope+" AND ($3 = '' OR mesh = $3)", "CASE WHEN push IS NULL THEN NULL ELSE x'' END", args...)
}

// Find returns a letter by its id, client id or broker id, the newest of several; not_found when the scope does not see it.
func (l Letters) Find(ctx context.Context, s Scope, id string) (Letter, error) {
	args, err := s.args(id)
	if err != nil {
		return Letter{}, err
	}
	found, err := l.query(ctx, letterScope+" AND $3 != '' AND $3 IN (id, client_message_id, broker_message_id)", "push", args...)
	if err == nil && len(found) == 0 {
		err = mesh.Errorf(mesh.NotFound, "there is no dead letter %q", id)
	}
	if err != nil {
		return Letter{}, err
	}
	return found[0], nil
}

func (l Letters) query(ctx context.Context, condition, push string, args ...any) ([]Letter, error) {
	var all []Letter
	err := l.b.db.Read(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.Query(`SELECT id, mesh_id, mesh, reason, client_message_id, broker_message_id, sender_pubkey, sender_member_pubkey,
			sender_name, recipient_pubkey, recipient_kind, received_at, `+push+" FROM letter WHERE "+condition+" ORDER BY received_at DESC, rowid DESC", args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var one Letter
			var at int64
			if err := rows.Scan(&one.ID, &one.MeshID, &one.Mesh, &one.Reason, &one.ClientID, &one.BrokerID, &one.From.Key, &one.From.Member,
				&one.From.Name, &one.To, &one.Kind, &at, &one.Push); err != nil {
				return err
			}
			one.ReceivedAt = timeOf(at)
			all = append(all, one)
		}
		return rows.Err()
	})
	return all, sqlite.Coded(err)
}

// drop deletes a letter that has no row; missing is the error where there is none.
func (l Letters) drop(ctx context.Context, s Scope, id string, missing error) (Row, error) {
	letter, err := l.Find(ctx, s, id)
	if err != nil {
		return Row{}, missing
	}
	_, err = l.b.stamp(ctx, "DELETE FROM letter WHERE id = $1", letter.ID)
	return letter.Row(), err
}
