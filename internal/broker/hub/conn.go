package hub

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// ConnID numbers a connection of this process. The broker chooses it; no number is used twice.
type ConnID = mesh.ConnID

// Conn is one authenticated connection, as the hub routes to it and as the roster shows it.
type Conn struct {
	ID         ConnID
	Mesh       mesh.ID
	Member     mesh.ID
	MemberKey  mesh.Key
	SessionKey mesh.Key // empty: the connection has no mailbox of its own
	SessionID  string   // as the hello gave it
	Name       string   // as shown to others
	Role       mesh.PeerRole

	// Lease is true for a connection that acknowledges what it stored: it announced client_ack, or said
	// session_hello (design B3). Otherwise a push counts as handed over when it was written, until the first client_ack.
	Lease    bool
	Receipts bool // announced receipts/1
	Go       bool // announced claudemesh.go/1

	Groups      []string // paths without @, from mesh.ParseGroup
	Status      mesh.Status
	ConnectedAt time.Time

	Presence protocol.Presence // the rest of the hello, for the roster
}
