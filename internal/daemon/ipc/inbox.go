package ipc

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// inboxRoutes answers what came.
type inboxRoutes struct{ *Server }

func (s inboxRoutes) list(ctx context.Context, c caller, req localapi.InboxRequest) (localapi.InboxAnswer, error) {
	q, err := inbox.ParseQuery(req, c.scope())
	if err != nil {
		return localapi.InboxAnswer{}, err
	}
	q.Session = c.id()
	verdicts := s.verdicts(ctx, c.id())
	if c.session != nil {
		q.Admit, q.Reads = verdicts.admit, verdicts.shows
	}
	page, err := s.Inbox.List(ctx, q)
	if err != nil {
		return localapi.InboxAnswer{}, err
	}
	if len(page.Rows)+page.Held == 0 { // of a mesh that was left there may still be messages
		if err := node.CheckMesh(s.Node, req.Mesh); err != nil {
			return localapi.InboxAnswer{}, err
		}
	}
	answer := localapi.InboxAnswer{Items: make([]localapi.InboxItem, 0, len(page.Rows)), MarkedSeen: page.Marked, HeldCount: page.Held}
	if answer.Unread, err = s.Inbox.Unread(ctx, c.scope(), c.id()); err != nil {
		return localapi.InboxAnswer{}, err
	}
	for _, r := range page.Rows {
		answer.Items = append(answer.Items, verdicts.item(r))
	}
	return answer, nil
}

// seen marks as read what the caller could read: what is held stays unread for its human, whatever a session says.
func (s inboxRoutes) seen(ctx context.Context, c caller, req localapi.SeenRequest) (localapi.SeenAnswer, error) {
	n, err := s.Inbox.MarkSeen(ctx, c.scope(), req.IDs, reads(ctx, s.Server, c))
	return localapi.SeenAnswer{MarkedSeen: n}, err
}

// flush forgets messages. What is held for the human stays: no session can make it disappear.
func (s inboxRoutes) flush(ctx context.Context, c caller, req localapi.FlushRequest) (localapi.FlushAnswer, error) {
	f, err := inbox.ParseFlush(req, c.scope(), s.Now())
	if err != nil {
		return localapi.FlushAnswer{}, err
	}
	f.Admit = admits(ctx, s.Server, c)
	n, err := s.Inbox.Flush(ctx, f)
	if err == nil && n == 0 {
		err = node.CheckMesh(s.Node, f.Mesh)
	}
	return localapi.FlushAnswer{Removed: n}, err
}

func (s inboxRoutes) delete(ctx context.Context, c caller, req localapi.InboxDeleteRequest) (localapi.InboxDeleteAnswer, error) {
	r, err := s.Inbox.Delete(ctx, c.scope(), req.ID, admits(ctx, s.Server, c))
	if err != nil {
		return localapi.InboxDeleteAnswer{}, err
	}
	return localapi.InboxDeleteAnswer{Removed: 1, ID: r.ID}, nil
}

// maxAttempts bounds one confirmation.
const maxAttempts = 1000

func (s inboxRoutes) offered(ctx context.Context, c caller, req localapi.OfferedRequest) (localapi.OfferedAnswer, error) {
	switch {
	case c.session == nil:
		return localapi.OfferedAnswer{}, mesh.Errorf(mesh.SessionUnknown, "only a session is offered messages")
	case len(req.Attempts) > maxAttempts:
		return localapi.OfferedAnswer{}, mesh.Errorf(mesh.BadRequest, "at most %d attempts at once", maxAttempts)
	}
	if err := checkPaths([]string{req.Path}); err != nil {
		return localapi.OfferedAnswer{}, err
	}
	n, err := s.Inbox.Offered(ctx, c.id(), req.Attempts, req.Path)
	s.paths.Offered(c.id(), req.Path, n)
	return localapi.OfferedAnswer{Marked: n}, err
}

// item is a message as the caller may see it.
func (v verdicts) item(r inbox.Row) localapi.InboxItem {
	from := v.standing(r)
	i := localapi.InboxItem{
		Seq: r.Seq, ID: r.ID, ClientMessageID: r.ClientID, BrokerMessageID: r.BrokerID, Mesh: r.Mesh, Topic: orNull(r.Topic),
		SenderPubkey: r.Sender, SenderMemberPubkey: r.SenderMember, SenderName: from.Name, Body: r.Body, Priority: r.Priority,
		ReceivedAt: mesh.FormatTime(r.ReceivedAt), CreatedAt: mesh.FormatTime(r.CreatedAt), ReplyToID: orNull(r.ReplyTo),
		SeenAt: timeOrNull(r.SeenAt), RecipientPubkey: r.Recipient, RecipientKind: string(r.RecipientKind),
		Encrypted: r.Encrypted, Verified: from.Verified, Undecryptable: r.Undecryptable, Subtype: r.Subtype, Muted: v.muted(r),
	}
	if !v.shows(r) {
		i.Body, i.Held = nil, true
	}
	return i
}

// orNull is null for an empty text.
func orNull[T ~string](v T) *T {
	if v == "" {
		return nil
	}
	return &v
}

// timeOrNull is null for the zero time.
func timeOrNull(t time.Time) *string { return orNull(mesh.FormatTime(t)) }
