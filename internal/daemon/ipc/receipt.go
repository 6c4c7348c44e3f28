package ipc

import (
	"cmp"
	"context"
	"sync"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
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
	n, err := s.prove(ctx, c.id(), req.Attempts)
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

// trace gives the way of a message: of one that left from here, as status finds it, and of the copies that came to the
// caller.
func (s receiptRoutes) trace(ctx context.Context, c caller, req localapi.StatusRequest) (localapi.TraceAnswer, error) {
	var sent *outbox.Message
	m, err := s.Outbox.Status(ctx, req.ID, req.Mesh)
	id := req.ID
	switch {
	case err == nil:
		sent, id = &m, string(m.ClientID)
	case !mesh.IsCode(err, mesh.NotFound):
		return localapi.TraceAnswer{}, err
	}
	var received []inbox.Row
	switch r, err := s.received(ctx, c, id, req.Mesh); {
	case err == nil && (sent == nil || r.MeshID == sent.MeshID):
		received = append(received, r)
	case err != nil && (sent == nil || !mesh.IsCode(err, mesh.NotFound)):
		return localapi.TraceAnswer{}, err
	}
	return s.Node.Trace(ctx, sent, received)
}

// watch follows a sent message.
func (s receiptRoutes) watch(ctx context.Context, _ caller, req localapi.StatusRequest, sub *subscriber) error {
	ctx, cancel := context.WithCancel(ctx)
	var ending sync.WaitGroup
	defer ending.Wait()
	defer cancel()
	ending.Go(func() {
		select {
		case <-s.ending:
			cancel()
		case <-ctx.Done():
		}
	})
	return node.WatchMessage(ctx, s.Node, req, func(a *localapi.StatusAnswer) error {
		if a == nil {
			return sub.comment("keepalive")
		}
		if err := sub.event("", localapi.EventStatus, *a); err != nil {
			return err
		}
		return sub.flush.Flush()
	})
}
