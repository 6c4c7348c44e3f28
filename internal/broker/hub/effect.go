package hub

import "github.com/claudemesh/claudemesh/internal/mesh"

// EffectKind says what is to be done.
type EffectKind int

// The effects.
const (
	Push   EffectKind = iota + 1 // send Row.Frame to Conn; with Confirm, call Written when it is on the socket
	Load                         // read a page of Box and call Loaded or LoadFailed
	Finish                       // store the outcome of Row and call Settled
	Close                        // close Conn, which the hub has forgotten
)

// Outcome is how a copy of a message ended.
type Outcome int

// The outcomes that the hub decides.
const (
	Delivered  Outcome = iota + 1 // acknowledged by the recipient
	HandedOver                    // written to a client that never acknowledges; not a proof of delivery (design B3)
)

// Effect is one thing to do. Which fields count depends on Kind.
type Effect struct {
	Kind    EffectKind
	Conn    ConnID
	Box     Mailbox
	Row     Row
	Confirm bool
	Outcome Outcome
	Page    Page
	Code    mesh.CloseCode
	Reason  string
}

// Page is what a Load reads: up to Limit waiting rows of the mailbox with a number over After.
type Page struct {
	After      int64
	UrgentOnly bool
	Limit      int
}
