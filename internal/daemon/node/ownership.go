package node

import (
	"context"
	"errors"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/daemon/node/decree"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Ownership is what the owner of a mesh changes in it.
type Ownership struct{ n *Node }

// follower takes in what owners of the joined meshes changed.
func follower(n *Node) *decree.Follower {
	f := &decree.Follower{Records: decree.Records{Book: n.opt.Book, DB: n.opt.DB}, Now: n.opt.Now, Log: n.opt.Log}
	f.Relabel = func(ctx context.Context, id mesh.ID, slug string) error {
		return errors.Join(n.opt.Inbox.RenameMesh(ctx, id, slug), n.opt.Outbox.RenameMesh(ctx, id, slug))
	}
	f.Attach = func(id mesh.ID, anew bool) {
		n.mu.Lock()
		if at, ok := n.attached[id]; ok && anew {
			at.Stop()
			delete(n.attached, id)
		}
		n.mu.Unlock()
		n.reconcile()
	}
	f.Forget = func(ctx context.Context, m membership.Mesh) error {
		_, err := forget(ctx, n, m)
		return err
	}
	return f.Ready()
}

// Ownership gives what owners do.
func (n *Node) Ownership() Ownership { return Ownership{n} }

// Rename renames a mesh for everybody, here at once.
func (o Ownership) Rename(ctx context.Context, req localapi.MeshUpdateRequest) (localapi.MeshAnswer, error) {
	var none localapi.MeshAnswer
	at, owner, err := owned(o.n, req.Slug)
	if err != nil {
		return none, err
	}
	for _, other := range o.n.meshes() {
		if other != at && other.Mesh.Slug == req.NewSlug {
			return none, mesh.Errorf(mesh.SlugTaken, "another mesh that is joined here is called %s", req.NewSlug)
		}
	}
	err = o.n.owners.Lead(ctx, at.Mesh.ID, func() (protocol.MeshFacts, error) {
		now, err := owner.Rename(ctx, req.NewSlug, req.Name)
		return protocol.MeshFacts{Slug: now.Slug, Name: now.Name}, err
	})
	if err != nil {
		return none, err
	}
	if at, err = o.n.byID(at.Mesh.ID); err != nil {
		return none, err
	}
	attachment.Settle(ctx, at.Link)
	view, err := at.Describe(ctx)
	return localapi.MeshAnswer{Mesh: view, AlreadyJoined: true}, err
}

// SetRole changes the role of a member.
func (o Ownership) SetRole(ctx context.Context, req localapi.MemberUpdateRequest) (localapi.MemberAnswer, error) {
	_, owner, err := owned(o.n, req.Slug)
	if err != nil {
		return localapi.MemberAnswer{}, err
	}
	now, err := owner.SetRole(ctx, req.Member, req.Role)
	return localapi.MemberAnswer{Mesh: req.Slug, MemberID: now.MemberID, Pubkey: now.MemberPubkey, Name: now.Name, Role: now.Role}, err
}

// archive ends a mesh for everybody. It may be called differently here than at its broker, where another has its name.
func (o Ownership) archive(ctx context.Context, at *attachment.Attachment) error {
	_, owner, err := owned(o.n, at.Mesh.Slug)
	if err != nil {
		return err
	}
	slug := at.Mesh.Slug
	if said := at.Link.Mesh(); said != nil {
		slug = said.Slug
	}
	return owner.Archive(ctx, slug)
}
