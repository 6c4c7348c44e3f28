package inbox

import (
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Row is one received message.
type Row struct {
	Seq           int64 // order of arrival; the event id
	ID            string
	ClientID      mesh.ClientID
	BrokerID      mesh.ID
	MeshID        mesh.ID // empty for a row of the TypeScript daemon
	Mesh          string  // slug
	Topic         string
	Sender        mesh.Key
	SenderMember  mesh.Key
	SenderName    string
	Recipient     mesh.Key // empty for an old row of the TypeScript daemon
	RecipientKind Kind
	Body          *string // nil: it did not open. Always nil where a Row is handed to a gate
	ReplyTo       string
	Priority      mesh.Priority
	Subtype       string
	Encrypted     bool
	Verified      bool
	Undecryptable bool
	CreatedAt     time.Time
	ReceivedAt    time.Time
	SeenAt        time.Time // zero: unread
	TraceID       string
	Receipts      bool // its sender takes signed receipts
	Released      bool // the human has read it and let it through
	BodyBytes     int
}

// Kind says whose key a message came to.
type Kind string

// The kinds of recipient.
const (
	Session Kind = "session"
	Member  Kind = "member"
)

// columns of a Row, in the order of scan; textless are the same for a gate, which decides by who sent what kind of message: what
// a text holds is not read.
const (
	columns  = columnsBefore + "i.body" + columnsBehind
	textless = columnsBefore + "NULL" + columnsBehind

	columnsBefore = `i.seq, i.id, i.client_message_id, coalesce(i.broker_message_id, ''), i.mesh_id, i.mesh,
	coalesce(i.topic, ''), i.sender_pubkey, i.sender_member_pubkey, i.sender_name, coalesce(i.recipient_pubkey, ''),
	coalesce(i.recipient_kind, ''), `
	columnsBehind = `, coalesce(i.reply_to_id, ''), i.priority, i.subtype, i.encrypted, i.verified,
	i.undecryptable, coalesce(i.created_at, 0), i.received_at, coalesce(i.seen_at, 0), i.trace_id, i.receipts,
	i.released_at IS NOT NULL, coalesce(octet_length(i.body), 0)`
)

func scan(rows *sqlite.Rows, more ...any) (Row, error) {
	var r Row
	var created, received, seen int64
	err := rows.Scan(append([]any{&r.Seq, &r.ID, &r.ClientID, &r.BrokerID, &r.MeshID, &r.Mesh,
		&r.Topic, &r.Sender, &r.SenderMember, &r.SenderName, &r.Recipient,
		&r.RecipientKind, &r.Body, &r.ReplyTo, &r.Priority, &r.Subtype, &r.Encrypted, &r.Verified,
		&r.Undecryptable, &created, &received, &seen, &r.TraceID, &r.Receipts,
		&r.Released, &r.BodyBytes}, more...)...)
	r.CreatedAt, r.ReceivedAt, r.SeenAt = timeOf(created), timeOf(received), timeOf(seen)
	return r, err
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// each calls fn for every row of a query until it returns false.
func each(tx *sqlite.Tx, fn func(Row) bool, query string, args ...any) error {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return err
		}
		if !fn(r) {
			return rows.Close()
		}
	}
	return rows.Err()
}

// Scope says which rows a caller sees. The zero Scope sees none.
type Scope struct {
	all  bool
	keys []mesh.Key
}

// All sees every row: the user outside of any session.
func All() Scope { return Scope{all: true} }

// Only sees the rows for these keys, a session's own and its members', and old rows that name no recipient.
func Only(keys ...mesh.Key) Scope { return Scope{keys: keys} }

// Sees reports whether a row is in the scope.
func (s Scope) Sees(r Row) bool {
	return s.all || len(s.keys) > 0 && r.Recipient == "" || slices.Contains(s.keys, r.Recipient)
}

// inScope is the condition of a Scope; its parameters are $1 and $2, made by args.
// What is forgotten nobody sees.
const inScope = `i.forgotten_at IS NULL
	AND ($1 OR $2 != '[]' AND i.recipient_pubkey IS NULL OR i.recipient_pubkey IN (SELECT value FROM json_each($2)))`

// args are the parameters of inScope, with more behind them.
func (s Scope) args(more ...any) ([]any, error) {
	keys, err := list(s.keys)
	return append([]any{s.all, keys}, more...), err
}

// list makes one parameter of many values, so that a query's text stays the same.
func list[T any](values []T) (string, error) {
	if values == nil {
		return "[]", nil
	}
	data, err := wire.Encode(values)
	return string(data), err
}

// gated hides a body from a gate: it decides by who sent what kind of message.
func (r Row) gated() Row {
	r.Body = nil
	return r
}
