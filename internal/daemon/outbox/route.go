package outbox

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Reply waits for the ack of one send. Its error means that there was no ack; payload_too_large says that the
// connection was closed with 1009.
type Reply func(ctx context.Context) (protocol.Ack, error)

// Route leads to the broker of one mesh. Its methods are called from one goroutine, Replies from others. A row is sent
// on the connection of the key that sealed it and on no other: the reader could not open it (daemon 12).
type Route interface {
	// Open reports whether this sender's connection takes frames: a session key, or empty for the member's own.
	Open(sender mesh.Key) bool
	// Barred says why this sender's connection will not open again by itself: revoked, kicked. Empty while it may. What waits
	// for it is then ended, and its sender told.
	Barred(sender mesh.Key) mesh.Code
	// Changed returns a channel that is closed at the next change of what Open, Barred or Limits answer.
	Changed() <-chan struct{}
	// Limits are those of the broker's welcome; zero where it sent none.
	Limits() protocol.Limits
	// Send writes the frame to the sender's connection before it returns, so that frames leave in the order of the
	// calls. An error means that it was not written.
	Send(ctx context.Context, sender mesh.Key, req protocol.SendRequest) (Reply, error)
}
