// Package queue is the delivery core of the broker: it takes messages into the store, pushes them to who is
// connected, keeps them for who is not, and tells senders what became of them.
package queue

import (
	"context"
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Outbound is the sending end of one connection. Its methods may be called from any goroutine and never block.
type Outbound interface {
	// Send queues a frame. False means that the buffer is full or the connection is over: a slow consumer.
	// The frame belongs to many connections at once and is never written to.
	Send(frame []byte) bool
	// SendThen is Send; written is called once, after the frame was handed to the socket, and never when the
	// connection ended before that. It must be called without a lock that Send needs.
	SendThen(frame []byte, written func()) bool
	// Close ends the connection with a close frame, after what was queued where that is still possible.
	Close(code mesh.CloseCode, reason string)
}

// Options are what a Queue works with.
type Options struct {
	DB       *sqlite.DB // of store.Open; closed by its opener, after Run has returned
	Settings config.Broker
	Now      mesh.Clock
	Log      *slog.Logger
}

// Queue moves messages. Its methods may be called from any goroutine while Run runs; those of one connection are
// called in the order of its frames.
type Queue struct {
	opt Options
}

// New returns a queue. Nothing works before Run.
func New(opt Options) *Queue { return &Queue{opt: opt} }

// Run owns the hub, the lease timer and the sweeper. It returns after ctx ended and everything that was accepted is
// answered; what comes then is refused with shutting_down.
func (q *Queue) Run(ctx context.Context) error { panic("not yet") }

// Bind registers send, client_ack, message_status and receipts_since.
func (q *Queue) Bind(m *wire.Mux[*session.Session]) {
	wire.HandleAsync(m, protocol.Send, q.Accept)
	wire.Handle(m, protocol.ClientAck, q.ClientAck)
	wire.Handle(m, protocol.MessageStatus, q.MessageStatus)
	wire.Handle(m, protocol.ReceiptsSince, q.ReceiptsSince)
}

// Attach registers an authenticated connection: welcome (the hello_ack) is the first frame of its buffer, then the
// mailbox drains (design B5). A connection with the same session key, or without one but with the same member and
// session id, is closed with 1000 session_replaced and needs no Detach any more. The session key was stored with
// store.ClaimSession before. After an error the connection is not registered.
func (q *Queue) Attach(ctx context.Context, c hub.Conn, out Outbound, welcome []byte) error {
	panic("not yet")
}

// Detach forgets a connection that is over; what it had not acknowledged is pushed to the next one. Deliberate says
// that the client said bye. Detaching twice, or one that was replaced or closed from here, does nothing.
func (q *Queue) Detach(id hub.ConnID, deliberate bool) { panic("not yet") }

// SetStatus notes what a peer is doing, which decides what it is pushed (wire 5).
func (q *Queue) SetStatus(id hub.ConnID, status mesh.Status) { panic("not yet") }

// Accept takes a message (wire 3.1, design D2). The answer comes when the message is on the disk; a refusal is an
// Ack with Error and Code. It blocks while too much waits for the disk, until ctx ends.
func (q *Queue) Accept(ctx context.Context, s *session.Session, req protocol.SendRequest, answer wire.Answer[protocol.Ack]) {
	panic("not yet")
}

// ClientAck notes that a pushed message is on the recipient's disk (wire 3.4). It clears only what this connection
// was pushed. There is no answer.
func (q *Queue) ClientAck(ctx context.Context, s *session.Session, req protocol.ClientAckRequest) (wire.None, error) {
	panic("not yet")
}

// MessageStatus tells the sender and the recipients of a message how far it has come, nobody else (design D5).
func (q *Queue) MessageStatus(ctx context.Context, s *session.Session, req protocol.StatusRequest) (protocol.StatusAnswer, error) {
	panic("not yet")
}

// ReceiptsSince reads the receipts of the caller's member after one.
func (q *Queue) ReceiptsSince(ctx context.Context, s *session.Session, req protocol.ReceiptsRequest) (protocol.ReceiptsAnswer, error) {
	panic("not yet")
}

// Connections lists the connections of a mesh, oldest first. The slice is the caller's; what its rows point to is not
// changed by anyone.
func (q *Queue) Connections(ctx context.Context, meshID mesh.ID) ([]hub.Conn, error) {
	panic("not yet")
}

// CloseMember closes all connections of a member, and forgets what is remembered of it. It is called after the
// membership ended in the store.
func (q *Queue) CloseMember(meshID, member mesh.ID, code mesh.CloseCode, reason string) {
	panic("not yet")
}
