package ipc

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// glanceTime is how long a status line may wait for what the daemon does not know by itself.
const glanceTime = 150 * time.Millisecond

// statusLine counts for the session around the caller, whether it shows the session's token or not: a host runs its status
// line as it runs its hooks.
func (s hookRoutes) statusLine(ctx context.Context, c caller, _ localapi.None) (localapi.StatusLineAnswer, error) {
	ctx, cancel := context.WithCancel(ctx) // which says nothing of a broker that is slower than that
	defer cancel()
	defer time.AfterFunc(glanceTime, cancel).Stop()
	if around, ok := (registry.Hooks{Registry: s.Registry}).Around(c.process.PID); ok && c.session == nil {
		c.session, c.nobody = &around, false
	}
	answer := localapi.StatusLineAnswer{Meshes: s.Node.Presence().Glance(ctx, c.id())}
	if c.session != nil {
		answer.Name, answer.Mode = c.session.Name, c.session.MessageMode
	}
	answer.Unread, answer.Held = s.unread(ctx, c)
	answer.Asked = len(node.Approvals{Node: s.Node}.Board().List()) // a number for the human, who looks at any session's
	return answer, nil
}

// unread counts what a caller has not read, and what of it is kept from its session; as far as there is time.
func (s *Server) unread(ctx context.Context, c caller) (unread, held int) {
	unread, err := s.Inbox.Unread(ctx, c.scope(), c.id())
	if err != nil || unread == 0 || c.session == nil || !s.Registry.Rules(c.id()).Mode.Unattended() {
		return unread, 0
	}
	page, err := s.Inbox.List(ctx, inbox.Query{
		Scope: c.scope(), Session: c.id(), UnreadOnly: true, KeepUnread: true, Admit: s.verdicts(ctx, c.id()).admit,
	})
	if err != nil {
		return unread, 0
	}
	return unread, page.Held
}
