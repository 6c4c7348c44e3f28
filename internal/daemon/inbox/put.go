package inbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Draft is a message that came, opened as far as it opens.
type Draft struct {
	MeshID    mesh.ID
	Mesh      string        // slug
	ClientID  mesh.ClientID // the sender's id; else the broker's
	BrokerID  mesh.ID
	Topic     string
	From      Author
	To        mesh.Key // own key it came to
	Kind      Kind     // of To
	Body      *string  // nil: it did not open
	NonceHash []byte   // seal.NonceHash of a box that opened; nil for what anyone on the way could have written
	ReplyTo   string
	Priority  mesh.Priority // empty means next
	Subtype   string        // empty for an ordinary message
	CreatedAt time.Time     // by the sender's broker; may be zero
	TraceID   string
}

// Author is whom the broker names as the sender.
type Author struct {
	Key      mesh.Key // session key, else member key
	Member   mesh.Key // empty when the broker did not say
	Name     string
	Verified bool // proved; false: claimed by the relay
	Receipts bool // takes signed receipts
}

// Verdict is what became of a Draft.
type Verdict int

// The verdicts. Whichever it is, the message is on the disk and may be acknowledged to the broker.
const (
	New       Verdict = iota + 1
	Duplicate         // the same message is here: to the same key, or to a session of its member, or to the member of its session
	Replayed          // another message with a nonce that was here (design C9); dropped
)

// Put stores d and returns when it is on the disk. The Row is filled for New only. bad_request for a draft without
// mesh, ids, sender or recipient.
func (b *Inbox) Put(ctx context.Context, d Draft) (Row, Verdict, error) {
	return store(ctx, b, d, func(*sqlite.Tx, Row) error { return nil })
}

// store puts d down; beside is done in the same transaction, for a new row only.
func store(ctx context.Context, b *Inbox, d Draft, beside func(*sqlite.Tx, Row) error) (Row, Verdict, error) {
	r, err := rowOf(b, d)
	if err != nil {
		return Row{}, 0, err
	}
	var v Verdict
	err = b.db.Write(ctx, func(tx *sqlite.Tx) error {
		var err error
		if v, err = known(tx, d); err != nil || v != New {
			return err
		}
		if r.Seq, err = insert(tx, r, d.NonceHash); err != nil {
			return err
		}
		return beside(tx, r)
	})
	if err != nil {
		return Row{}, 0, sqlite.Coded(err)
	}
	if v != New {
		return Row{}, v, nil
	}
	b.broadcast()
	return r, New, nil
}

// rowOf checks a draft and makes the row of it.
func rowOf(b *Inbox, d Draft) (Row, error) {
	if d.MeshID == "" || d.Mesh == "" || d.ClientID == "" || d.From.Key == "" || d.To == "" {
		return Row{}, mesh.Errorf(mesh.BadRequest, "a message in the inbox has mesh, id, sender and recipient")
	}
	if d.Kind != Session && d.Kind != Member {
		return Row{}, mesh.Errorf(mesh.BadRequest, "recipient kind %q is not session or member", d.Kind)
	}
	priority, err := mesh.ParsePriority(string(d.Priority))
	if err != nil {
		return Row{}, err
	}
	now := b.now()
	r := Row{
		ID: string(mesh.NewClientID(now)), ClientID: d.ClientID, BrokerID: d.BrokerID, MeshID: d.MeshID, Mesh: d.Mesh,
		Topic: d.Topic, Sender: d.From.Key, SenderMember: d.From.Member, SenderName: d.From.Name,
		Recipient: d.To, RecipientKind: d.Kind, Body: d.Body, ReplyTo: d.ReplyTo, Priority: priority, Subtype: d.Subtype,
		Encrypted: d.NonceHash != nil, Verified: d.From.Verified, Undecryptable: d.Body == nil,
		ReceivedAt: timeOf(now.UnixMilli()), TraceID: d.TraceID, Receipts: d.From.Receipts,
	}
	if d.Body != nil {
		r.BodyBytes = len(*d.Body)
	}
	if !d.CreatedAt.IsZero() {
		r.CreatedAt = timeOf(d.CreatedAt.UnixMilli())
	}
	return r, nil
}

// known says whether the message is here, else whether its nonce is, and keeps the nonce. A broker gives a message to a
// member, or to sessions of it, and not to both, but when a session ends that may have it already (design D1): then it is
// the same message to the broker too, while a sender may use its own id for several.
func known(tx *sqlite.Tx, d Draft) (Verdict, error) {
	author := cmp.Or(d.From.Member, d.From.Key)
	var seq int64
	err := tx.QueryRow(`SELECT seq FROM inbox WHERE client_message_id = $1 AND mesh_id = $2
		AND coalesce(nullif(sender_member_pubkey, ''), sender_pubkey) = $3
		AND (coalesce(recipient_pubkey, '') = $4 OR recipient_kind <> $5 AND broker_message_id = $6) LIMIT 1`,
		d.ClientID, d.MeshID, author, d.To, d.Kind, d.BrokerID).Scan(&seq)
	if err == nil {
		return Duplicate, nil
	}
	if !errors.Is(err, sql.ErrNoRows) || d.NonceHash == nil {
		return New, ignoreNoRows(err)
	}
	n, err := tx.Exec("INSERT INTO nonce (hash) VALUES ($1) ON CONFLICT DO NOTHING", d.NonceHash)
	if err == nil && n == 0 {
		return Replayed, nil
	}
	return New, err
}

func ignoreNoRows(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

func insert(tx *sqlite.Tx, r Row, nonceHash []byte) (seq int64, err error) {
	created := int64(0)
	if !r.CreatedAt.IsZero() {
		created = r.CreatedAt.UnixMilli()
	}
	err = tx.QueryRow(`INSERT INTO inbox (id, client_message_id, broker_message_id, mesh, topic, sender_pubkey, sender_name,
		body, received_at, reply_to_id, recipient_pubkey, recipient_kind, mesh_id, sender_member_pubkey, priority, subtype,
		encrypted, verified, undecryptable, created_at, trace_id, nonce_hash, receipts)
		VALUES ($1, $2, nullif($3, ''), $4, nullif($5, ''), $6, $7, $8, $9, nullif($10, ''), $11, $12, $13, $14, $15, $16,
		$17, $18, $19, nullif($20, 0), $21, $22, $23) RETURNING seq`,
		r.ID, r.ClientID, r.BrokerID, r.Mesh, r.Topic, r.Sender, r.SenderName,
		r.Body, r.ReceivedAt.UnixMilli(), r.ReplyTo, r.Recipient, r.RecipientKind, r.MeshID, r.SenderMember, r.Priority, r.Subtype,
		r.Encrypted, r.Verified, r.Undecryptable, created, r.TraceID, nonceHash, r.Receipts).Scan(&seq)
	return seq, err
}
