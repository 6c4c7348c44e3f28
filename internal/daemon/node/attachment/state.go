package attachment

import (
	"context"
	"strconv"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Describe is what a listing of the joined meshes says of it.
func (a *Attachment) Describe(ctx context.Context) (localapi.Mesh, error) {
	pending, err := a.opt.Outbox.Pending(ctx, a.Mesh.ID)
	if err != nil {
		return localapi.Mesh{}, err
	}
	role := a.Facts.Role
	if role == "" {
		role = "member"
	}
	m := localapi.Mesh{
		Slug: a.Mesh.Slug, Name: a.opt.Owners.NameOf(a.Mesh.ID, a.Mesh.Name), MeshID: a.Mesh.ID, MemberID: a.Mesh.MemberID, Pubkey: a.Mesh.Pubkey(), Role: role,
		IsOwner: a.Facts.IsOwner, BrokerURL: a.Mesh.BrokerURL, JoinedAt: mesh.FormatTime(a.Mesh.JoinedAt), Status: string(a.Link.State()), Pending: pending,
	}
	if err := a.Link.LastError(); err != nil {
		m.LastError = mesh.PublicText(err)
	}
	if version := a.Link.Auth(); version > 0 {
		m.Auth = "auth/" + strconv.Itoa(version)
	}
	if owner, err := seal.DecodePublicKey(string(a.Facts.Owner)); err == nil {
		m.OwnerPrint = seal.OwnerFingerprint(string(a.Mesh.ID), owner)
	}
	return m, nil
}

// settleTime is how long a verb that entered a mesh waits for its connection, so that what comes next finds it open.
const settleTime = 3 * time.Second

// Settle waits until a connection is open, refused, or too slow to wait for.
func Settle(ctx context.Context, link *uplink.Link) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		changed := link.Changed()
		if link.Peer() != nil || link.State().Final() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// Knock asks a broker once more that would not hear this member any more, for its sessions too, and waits for what it says.
func (a *Attachment) Knock(ctx context.Context) {
	if !a.Link.State().Final() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	changed := a.Link.Changed()
	knock(a.Link)
	a.Sessions.knock()
	select {
	case <-ctx.Done():
	case <-changed:
		Settle(ctx, a.Link)
	}
}

// Ask makes one call to the broker of a mesh.
func Ask[Req, Resp any](ctx context.Context, a *Attachment, limit time.Duration, c wire.Call[Req, Resp], req Req) (Resp, error) {
	var none Resp
	peer := a.Link.Peer()
	if peer == nil {
		return none, mesh.Errorf(mesh.BrokerDown, "%s is not connected to its broker", a.Mesh.Slug)
	}
	if err := uplink.Answers(a.Link, c.Entry); err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.Do(ctx, peer, req)
}

// Health counts a mesh for health; an unreadable outbox counts nothing and is logged.
func (a *Attachment) Health(ctx context.Context) localapi.MeshHealth {
	h := localapi.MeshHealth{Mesh: a.Mesh.Slug, MeshID: a.Mesh.ID, Status: string(a.Link.State())}
	if err := a.Link.LastError(); err != nil {
		h.LastError = mesh.PublicText(err)
	}
	pending, err := a.opt.Outbox.Pending(ctx, a.Mesh.ID)
	if err != nil {
		a.opt.Log.Warn("outbox not counted", logkey.Mesh, a.Mesh.Slug, logkey.Err, err)
	}
	h.OutboxPending = pending
	h.Sessions = a.Sessions.Count()
	return h
}
