package ipc

import (
	"cmp"
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// receiptRoutes answers what readers say of messages, and how far messages have come.
type receiptRoutes struct{ *Server }

func (s receiptRoutes) surfaced(ctx context.Context, c caller, req localapi.SurfacedRequest) (localapi.SurfacedAnswer, error) {
	switch {
	case c.session == nil:
		return localapi.SurfacedAnswer{}, mesh.Errorf(mesh.SessionUnknown, "only a session is shown messages")
	case len(req.Attempts) > maxAttempts:
		return localapi.SurfacedAnswer{}, mesh.Errorf(mesh.BadRequest, "at most %d attempts at once", maxAttempts)
	}
	n, err := inbox.NoticesOf(s.Inbox).Surfaced(ctx, c.id(), req.Attempts)
	return localapi.SurfacedAnswer{Marked: n}, err
}

func (s receiptRoutes) acknowledge(ctx context.Context, c caller, req localapi.AcknowledgeRequest) (localapi.AcknowledgeAnswer, error) {
	r, err := s.received(ctx, c, req.ID, req.Mesh)
	if err != nil {
		return localapi.AcknowledgeAnswer{}, err
	}
	fate, err := s.Node.Acknowledge(ctx, r, false)
	return localapi.AcknowledgeAnswer{
		MessageID: r.BrokerID, ClientMessageID: r.ClientID, Mesh: r.Mesh, SenderName: s.verdicts(ctx, c.id()).standing(r).Name,
		SenderPubkey: r.Sender, Told: cmp.Or(string(fate), "due"),
	}, err
}

// received finds a message that came to the caller. What is kept from a session is not there for it.
func (s receiptRoutes) received(ctx context.Context, c caller, id, slug string) (inbox.Row, error) {
	r, err := s.Inbox.Find(ctx, c.scope(), id)
	switch {
	case err != nil:
		return inbox.Row{}, err
	case slug != "" && r.Mesh != slug, c.session != nil && !s.verdicts(ctx, c.id()).admit(r):
		return inbox.Row{}, mesh.Errorf(mesh.NotFound, "no message %q has come here", id)
	}
	return r, nil
}
