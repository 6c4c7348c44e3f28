package inbox

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
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
