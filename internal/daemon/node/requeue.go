package node

import (
	"cmp"
	"context"
	"slices"

	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Outbox is what was sent from here, as one caller may read and change it.
type Outbox struct {
	Node *Node
	Keys []mesh.Key // of the session that asks, which sees what it sent itself; empty for the user, who sees all
	User bool
	May  Allow // to whom the caller may send; nil: to all
}

// Inspect reads one message with its text and how far it has come.
func (o Outbox) Inspect(ctx context.Context, id, slug string) (outbox.Letter, []localapi.Recipient, error) {
	l, err := o.find(ctx, id, slug)
	if err != nil {
		return outbox.Letter{}, nil, err
	}
	return l, copies(ctx, o.Node, l.Message), nil
}

// find reads a message of the caller's. Of others it says that there is none.
func (o Outbox) find(ctx context.Context, id, slug string) (outbox.Letter, error) {
	l, err := o.Node.opt.Outbox.Inspect(ctx, id, slug)
	if err == nil && !o.User && !slices.Contains(o.Keys, l.Sender) {
		err = mesh.Errorf(mesh.NotFound, "no message %s was sent from this session", id)
	}
	return l, err
}

// operator is who ends a row when nobody says (daemon 8.3).
const operator = "operator"

// maxBy bounds the name of who ended a row.
const maxBy = 200

// Requeue ends a message that waits or failed, and sends its text, or another one, under a new id. The target is
// resolved and the text sealed anew, by the session that sent it where that is still there, else by its member; what
// resolves to anyone else than before is refused (daemon 10.5).
func (o Outbox) Requeue(ctx context.Context, req localapi.RequeueRequest) (localapi.RequeueAnswer, error) {
	if len(req.AbortedBy) > maxBy {
		return localapi.RequeueAnswer{}, mesh.Errorf(mesh.BadRequest, "aborted_by is longer than %d bytes", maxBy)
	}
	old, err := o.find(ctx, req.ID, "")
	if err != nil {
		return localapi.RequeueAnswer{}, err
	}
	if old.Restored() && req.Payload == nil {
		return o.release(ctx, old)
	}
	draft, err := o.again(ctx, old, req)
	if err != nil {
		return localapi.RequeueAnswer{}, err
	}
	done, err := o.Node.opt.Outbox.Requeue(ctx, old.ID, cmp.Or(req.AbortedBy, operator), draft)
	if err != nil {
		return localapi.RequeueAnswer{}, err
	}
	return localapi.RequeueAnswer{
		AbortedRowID: done.Old.ID, NewRowID: done.New.ID, NewClientMessageID: done.New.ClientID,
		Mesh: done.New.Mesh, TargetSpec: done.New.TargetSpec, Encrypted: done.New.Encrypted(), MayBeDoubled: done.Old.MayBeSent(),
	}, nil
}

// release lets a message leave that came back with a backup, as it is: under its own id no broker takes it twice.
func (o Outbox) release(ctx context.Context, old outbox.Letter) (localapi.RequeueAnswer, error) {
	if _, err := o.Node.byID(old.MeshID); err != nil {
		return localapi.RequeueAnswer{}, err
	}
	r, err := outbox.Release(ctx, o.Node.opt.Outbox, old.ID)
	if err != nil {
		return localapi.RequeueAnswer{}, err
	}
	return localapi.RequeueAnswer{
		NewRowID: r.ID, NewClientMessageID: r.ClientID, Mesh: r.Mesh, TargetSpec: r.TargetSpec, Encrypted: r.Encrypted(),
	}, nil
}

// again makes the draft of a message that is sent once more.
func (o Outbox) again(ctx context.Context, old outbox.Letter, req localapi.RequeueRequest) (outbox.Draft, error) {
	if old.Mesh == "" || old.TargetSpec == "" {
		return outbox.Draft{}, mesh.Errorf(mesh.LegacyUnroutable, "nobody knows to whom message %s was to go: send it anew", old.ClientID)
	}
	at, err := o.Node.byID(old.MeshID)
	if err != nil {
		return outbox.Draft{}, err
	}
	body := string(old.Body)
	switch {
	case req.Payload != nil:
		body = *req.Payload
	case old.Status == outbox.Done || old.Status == outbox.Aborted:
		return o.settled(old, req), nil // the outbox says what it was, or that this was done before
	}
	l, err := newLetter(o.Node, localapi.SendRequest{
		To: old.TargetSpec, Mesh: at.Mesh.Slug, Message: body, Priority: string(old.Priority), ReplyToID: old.ReplyTo,
		ClientMessageID: string(req.NewClientMessageID), ToSelf: true, RequireEncrypted: old.Encrypted(),
	})
	if err != nil {
		return outbox.Draft{}, err
	}
	l.session, l.allow = at.Sessions.Sender(old.Sender), o.May
	if req.Payload == nil && len(old.Fingerprint) == len(l.fingerprint) {
		l.fingerprint = seal.Fingerprint(old.Fingerprint) // it is the same request, in the words of its sender
	}
	draft, _, err := l.draft(ctx)
	draft.TargetName = cmp.Or(old.TargetName, draft.TargetName)
	return draft, err
}

// settled is a draft for a row that is not sent any more: it only carries the ids.
func (o Outbox) settled(old outbox.Letter, req localapi.RequeueRequest) outbox.Draft {
	return outbox.Draft{
		ClientID: req.NewClientMessageID, MeshID: old.MeshID, Mesh: old.Mesh, TargetSpec: old.TargetSpec, Recipient: old.Recipient,
	}
}

// Cancel ends a message that waits or failed.
func (o Outbox) Cancel(ctx context.Context, req localapi.CancelRequest) (localapi.CancelAnswer, error) {
	if len(req.AbortedBy) > maxBy {
		return localapi.CancelAnswer{}, mesh.Errorf(mesh.BadRequest, "aborted_by is longer than %d bytes", maxBy)
	}
	l, err := o.find(ctx, req.ID, "")
	if err != nil {
		return localapi.CancelAnswer{}, err
	}
	old, err := o.Node.opt.Outbox.Cancel(ctx, l.ID, cmp.Or(req.AbortedBy, operator))
	return localapi.CancelAnswer{
		AbortedRowID: old.ID, ClientMessageID: old.ClientID, Mesh: old.Mesh, TargetSpec: old.TargetSpec, MayBeSent: old.MayBeSent(),
	}, err
}
