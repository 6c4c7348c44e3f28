package host

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Inbox is the inbox socket of a session, for the processes that the session started (host 0).
type Inbox struct {
	Path  string
	Token config.Secret
}

// Post writes one message and returns when the host has read it as far as can be known, which is no proof that it was
// shown (design D5). daemon_down tells that nothing was written and another way may be tried; after any other error
// the host may have the message. Now counts as Next (design E1).
func (i Inbox) Post(ctx context.Context, text string, p mesh.Priority) error {
	panic("host: in the making")
}
