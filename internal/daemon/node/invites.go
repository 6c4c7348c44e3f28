package node

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/daemon/node/decree"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// inviteTime bounds one call about invites.
const inviteTime = 10 * time.Second

// Invites are the invites of the joined meshes.
type Invites struct{ n *Node }

// Invites gives the invites of the joined meshes.
func (n *Node) Invites() Invites { return Invites{n} }

// owned gives a mesh with what acts for its owner; not_owner where that key is on another device.
func owned(n *Node, slug string) (*attachment.Attachment, decree.Owner, error) {
	var none decree.Owner
	at, err := n.find(slug)
	if err != nil {
		return nil, none, err
	}
	key, ok, err := n.opt.Book.OwnerSecret(at.Mesh.ID)
	if err != nil {
		return nil, none, err
	}
	if !ok {
		return nil, none, mesh.Errorf(mesh.NotOwner, "the key that owns %s is not on this device", slug)
	}
	peer := at.Link.Peer()
	if peer == nil {
		return nil, none, mesh.Errorf(mesh.BrokerDown, "%s is not connected to its broker", slug)
	}
	if err := uplink.Answers(at.Link, protocol.InviteCreate.Entry); err != nil { // as of all that owners sign
		return nil, none, err
	}
	return at, decree.Owner{Mesh: at.Mesh, Facts: at.Facts, Key: key, Peer: peer, Now: n.opt.Now}, nil
}

// Create makes an invite link. The code is in the answer and nowhere else.
func (i Invites) Create(ctx context.Context, req localapi.InviteCreateRequest) (localapi.InviteAnswer, error) {
	_, owner, err := owned(i.n, req.Slug)
	if err != nil {
		return localapi.InviteAnswer{}, err
	}
	return owner.Invite(ctx, req)
}

// List lists the invites of a mesh.
func (i Invites) List(ctx context.Context, slug string) (localapi.InvitesAnswer, error) {
	at, err := i.n.find(slug)
	if err != nil {
		return localapi.InvitesAnswer{}, err
	}
	answer, err := attachment.Ask(ctx, at, inviteTime, protocol.InviteList, protocol.InviteListRequest{})
	return localapi.InvitesAnswer{Invites: answer.Invites}, err
}

// Revoke ends an invite.
func (i Invites) Revoke(ctx context.Context, slug string, id mesh.ID) error {
	_, owner, err := owned(i.n, slug)
	if err != nil {
		return err
	}
	return owner.Revoke(ctx, id)
}
