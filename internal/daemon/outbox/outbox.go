// Package outbox keeps what this user sends until the broker has it. A row leaves in one of two ways: accepted by the
// broker, or dead with a reason; its client id is never free again.
package outbox

import (
	"context"
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Options says where the outbox lies. All fields are required.
type Options struct {
	Path string // paths.Daemon.Outbox
	Now  mesh.Clock
	Log  *slog.Logger
}

// Outbox is the open database. Its methods may be called from any goroutine.
type Outbox struct{}

// Open opens the outbox or makes it, takes over a file of the TypeScript daemon, and puts rows that were under way
// when the last process died back to pending (daemon 10.4). A damaged, foreign or newer file is refused untouched:
// store_corrupt, store_newer, store_locked, storage_full, io_error.
func Open(ctx context.Context, opt Options) (*Outbox, error) { panic("outbox: in the making") }

// Close finishes what was accepted and closes the file. Every Drain and Run must have returned.
func (o *Outbox) Close() error { panic("outbox: in the making") }

// Run keeps house until ctx ends: bodies and ciphertexts of accepted rows are blanked after 7 days.
func (o *Outbox) Run(ctx context.Context) error { panic("outbox: in the making") }

// Draft is a message that was resolved and sealed, before it is accepted.
type Draft struct {
	ClientID    mesh.ClientID // empty: one is minted
	Fingerprint seal.Fingerprint
	MeshID      mesh.ID
	Mesh        string   // slug
	TargetSpec  string   // key, *, @group or #topic, as it goes to the broker
	TargetName  string   // what a list shows for the target; may be empty
	Recipient   mesh.Key // key that the box is sealed to; empty for the kinds that the broker can read
	Sender      mesh.Key // session key that sealed it and whose connection sends it; empty: the member's own
	Nonce       string
	Ciphertext  string
	Priority    mesh.Priority
	ReplyTo     string
	Body        []byte
	TraceID     string
}

// Outcome is how an accept ended (daemon 11.4).
type Outcome struct {
	ClientID  mesh.ClientID
	Status    string  // queued or inflight; empty for a duplicate
	Duplicate bool    // the broker has had this id: nothing is sent
	BrokerID  mesh.ID // of a duplicate
	Row       Row     // the row as it was found, or as it was made
}

// Lookup is the first half of Accept, for callers that resolve and seal in between: a retry of an accepted id must
// not fail because the peer has gone offline. found is false when the id is free. The fingerprint must match, and the
// mesh where meshID is not empty; otherwise, and for dead and aborted rows, the error is idempotency_key_reused with
// conflict, prefix and broker id in its details.
func (o *Outbox) Lookup(ctx context.Context, id mesh.ClientID, fp seal.Fingerprint, meshID mesh.ID) (out Outcome, found bool, err error) {
	panic("outbox: in the making")
}

// Accept stores d, or finds what its id stands for, in one transaction, and returns when that is on the disk. Errors
// as Lookup; queue_full when 100,000 rows wait.
func (o *Outbox) Accept(ctx context.Context, d Draft) (Outcome, error) {
	panic("outbox: in the making")
}

// Reply waits for the ack of one send. Its error means that there was no answer; payload_too_large says that the
// connection was closed with 1009.
type Reply func(ctx context.Context) (protocol.Ack, error)

// Route leads to the broker of one mesh. Its methods are called from one goroutine, Replies from others.
type Route interface {
	// Open reports whether this sender's connection takes frames: a session key, or empty for the member's own.
	Open(sender mesh.Key) bool
	// Changed returns a channel that is closed at the next change of what Open or Limits answer.
	Changed() <-chan struct{}
	// Limits are those of the broker's welcome; zero where it sent none.
	Limits() protocol.Limits
	// Send writes the frame to the sender's connection before it returns, so that frames leave in the order of the
	// calls. An error means that it was not written.
	Send(ctx context.Context, sender mesh.Key, req protocol.SendRequest) (Reply, error)
}

// Drain sends what is pending for one mesh until ctx ends, then waits up to 2 s for the acks under way. Rows go in the
// order of their acceptance per (target, sender). Only one Drain may run for a mesh. slug adopts rows of the TypeScript
// daemon, which knew no mesh id.
func (o *Outbox) Drain(ctx context.Context, meshID mesh.ID, slug string, r Route) error {
	panic("outbox: in the making")
}

// DropMesh ends what is pending for a mesh that was left: dead, no_broker_for_mesh. No Drain may run for it.
func (o *Outbox) DropMesh(ctx context.Context, meshID mesh.ID) (int, error) {
	panic("outbox: in the making")
}

// Reflected reports whether a box with this nonce left this outbox for another key than the one it came to: then it
// was bounced and is to be dropped (design C9).
func (o *Outbox) Reflected(ctx context.Context, nonce string, recipient mesh.Key) (bool, error) {
	panic("outbox: in the making")
}

// ApplyReceipts notes what the broker tells of sent messages, oldest first; a state never goes back. complete says
// that nothing between LastReceipt and these is missing, so that LastReceipt moves: true for a page of receipts_since
// read from LastReceipt on, and for live receipts after the last such page of the same connection.
func (o *Outbox) ApplyReceipts(ctx context.Context, meshID mesh.ID, receipts []protocol.Receipt, complete bool) error {
	panic("outbox: in the making")
}

// LastReceipt is the seq to read receipts_since from; 0 for none.
func (o *Outbox) LastReceipt(ctx context.Context, meshID mesh.ID) (int64, error) {
	panic("outbox: in the making")
}

// Wait returns when the message has reached want at every recipient, or cannot any more: then its State is a failure.
// When ctx ends first the error is wait_timeout with the state so far, or cancelled, and the message is filled too.
func (o *Outbox) Wait(ctx context.Context, id mesh.ClientID, want mesh.State) (Message, error) {
	panic("outbox: in the making")
}

// Status finds a message by its client id, its broker id, or a prefix of at least 8 of either. slug narrows; it may be
// empty. not_found, or bad_request for a prefix that is too short or means several.
func (o *Outbox) Status(ctx context.Context, id, slug string) (Message, error) {
	panic("outbox: in the making")
}

// List returns rows, newest first.
func (o *Outbox) List(ctx context.Context, f Filter) ([]Row, error) { panic("outbox: in the making") }

// Pending counts what waits for the broker of one mesh, rows under way included.
func (o *Outbox) Pending(ctx context.Context, meshID mesh.ID) (int, error) {
	panic("outbox: in the making")
}
