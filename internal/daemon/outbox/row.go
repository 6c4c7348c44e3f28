package outbox

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Status is where a row stands on this machine (daemon 10.3).
type Status string

// The statuses. Done, dead and aborted are final.
const (
	Pending  Status = "pending"
	Inflight Status = "inflight"
	Done     Status = "done"
	Dead     Status = "dead"
	Aborted  Status = "aborted"
)

// Row is one message as it stands in the outbox, without its body and ciphertext.
type Row struct {
	ID            string
	ClientID      mesh.ClientID
	Fingerprint   seal.Fingerprint
	MeshID        mesh.ID // empty for a row of the TypeScript daemon that no Drain has adopted
	Mesh          string  // slug
	TargetSpec    string
	TargetName    string
	Recipient     mesh.Key // empty: plain text for the broker
	Sender        mesh.Key // session key; empty: the member
	Nonce         string
	Priority      mesh.Priority
	ReplyTo       string
	TraceID       string
	BodyBytes     int64
	Status        Status
	Attempts      int // refusals by the broker; not rate limits, losses of connection or timeouts
	EnqueuedAt    time.Time
	NextAttemptAt time.Time
	AcceptedAt    time.Time // by the broker; the column is named delivered_at
	BrokerID      mesh.ID
	Mailboxes     int // into which the broker put it; 0 when it did not say
	LastError     string
	AbortedAt     time.Time
	AbortedBy     string
	SupersededBy  string
}

// Encrypted reports whether the body is sealed to one key.
func (r Row) Encrypted() bool { return r.Recipient != "" }

// Message is a row with how far it has come.
type Message struct {
	Row
	State      mesh.State // the least of its recipients
	Recipients []Recipient
}

// Recipient is one copy of a message.
type Recipient struct {
	Key      mesh.Key
	Name     string
	State    mesh.State
	At       time.Time
	Reason   string
	Verified bool // the recipient signed it; false: the relay says so (design D5)
}

// Filter narrows List. The zero value is everything, 50 rows.
type Filter struct {
	Status Status
	Mesh   string // slug
	Limit  int    // 1 to 500; 0 means 50
}

// ParseFilter checks a request; what it does not understand is bad_request.
func ParseFilter(req localapi.OutboxRequest) (Filter, error) { panic("outbox: in the making") }
