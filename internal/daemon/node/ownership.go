package node

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/enroll"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// ownerTime bounds one order of an owner.
const ownerTime = 10 * time.Second

// Ownership is what the owner of a mesh changes in it.
type Ownership struct{ n *Node }

// Ownership gives what owners do.
func (n *Node) Ownership() Ownership { return Ownership{n} }

// Rename renames a mesh for everybody, here at once.
func (o Ownership) Rename(ctx context.Context, req localapi.MeshUpdateRequest) (localapi.MeshAnswer, error) {
	var none localapi.MeshAnswer
	at, owner, err := o.n.Invites().owned(req.Slug)
	if err != nil {
		return none, err
	}
	if req.NewSlug != "" {
		if err := o.n.freeHere(at.mesh.ID, req.NewSlug); err != nil {
			return none, err
		}
	}
	order := protocol.MeshRenameRequest{Slug: req.NewSlug, Name: req.Name}
	op := enroll.Operation{Mesh: at.mesh, Owner: owner, Name: protocol.MeshRename.Type, Args: order.Signed()}
	if order.Operation, err = op.Sign(o.n.opt.Now()); err != nil {
		return none, err
	}
	now, err := ask(ctx, at, ownerTime, protocol.MeshRename, order)
	if err != nil {
		return none, err
	}
	facts := protocol.MeshFacts{Slug: now.Slug, Name: now.Name, Role: at.facts.Role}
	if err := o.n.adapt(ctx, at.mesh.ID, facts); err != nil {
		return none, err
	}
	if at, err = o.n.byID(at.mesh.ID); err != nil {
		return none, err
	}
	at.settle(ctx)
	view, err := at.describe(ctx)
	return localapi.MeshAnswer{Mesh: view, AlreadyJoined: true}, err
}

// freeHere refuses a slug under which this device has joined another mesh.
func (n *Node) freeHere(id mesh.ID, slug string) error {
	for _, at := range n.meshes() {
		if at.mesh.Slug == slug && at.mesh.ID != id {
			return mesh.Errorf(mesh.SlugTaken, "another mesh that is joined here is called %s", slug)
		}
	}
	return nil
}

// SetRole changes the role of a member.
func (o Ownership) SetRole(ctx context.Context, req localapi.MemberUpdateRequest) (localapi.MemberAnswer, error) {
	var none localapi.MemberAnswer
	at, owner, err := o.n.Invites().owned(req.Slug)
	if err != nil {
		return none, err
	}
	order := protocol.MemberUpdateRequest{Target: req.Member, Role: req.Role}
	op := enroll.Operation{Mesh: at.mesh, Owner: owner, Name: protocol.MemberUpdate.Type, Args: order.Signed()}
	if order.Operation, err = op.Sign(o.n.opt.Now()); err != nil {
		return none, err
	}
	now, err := ask(ctx, at, ownerTime, protocol.MemberUpdate, order)
	return localapi.MemberAnswer{Mesh: at.mesh.Slug, MemberID: now.MemberID, Pubkey: now.MemberPubkey, Name: now.Name, Role: now.Role}, err
}

// archive ends a mesh for everybody.
func (o Ownership) archive(ctx context.Context, slug string) error {
	at, owner, err := o.n.Invites().owned(slug)
	if err != nil {
		return err
	}
	order := protocol.MeshArchiveRequest{Slug: slug}
	if said := at.link.Mesh(); said != nil {
		order.Slug = said.Slug // another mesh here may have its name, so that it is called differently here
	}
	op := enroll.Operation{Mesh: at.mesh, Owner: owner, Name: protocol.MeshArchive.Type, Args: order.Signed()}
	if order.Operation, err = op.Sign(o.n.opt.Now()); err != nil {
		return err
	}
	_, err = ask(ctx, at, ownerTime, protocol.MeshArchive, order)
	return err
}

// follow follows what the owner changed, as the broker tells it: in an event, or in its welcome to who was away.
func (n *Node) follow(a *attachment, msg protocol.PushedMessage) {
	switch msg.Event {
	case protocol.MeshRenamed:
		var e protocol.RenamedEvent
		if wire.Decode(msg.EventData, &e) == nil {
			n.later(a, protocol.MeshFacts{Slug: e.Slug, Name: e.Name})
		}
	case protocol.MemberUpdated:
		var e protocol.UpdatedEvent
		if wire.Decode(msg.EventData, &e) == nil && e.MemberID == a.mesh.MemberID {
			n.later(a, protocol.MeshFacts{Role: e.Role})
		}
	case protocol.MeshArchived:
		var e protocol.ArchivedEvent
		if wire.Decode(msg.EventData, &e) == nil && n.ended(a, e) {
			n.background(a, func(ctx context.Context) {
				n.opt.Log.Info("the owner has ended a mesh", logkey.Mesh, a.mesh.Slug)
				if _, err := n.forget(ctx, a); err != nil && !mesh.IsCode(err, mesh.MeshNotAttached) {
					n.opt.Log.Error("ended mesh not forgotten", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
				}
			})
		}
	}
}

// ended reports whether the owner signed the end of a mesh, now. Nobody else is believed: what follows deletes a key.
func (n *Node) ended(a *attachment, e protocol.ArchivedEvent) bool {
	owner, err := seal.ParsePublicKey(string(a.facts.Owner))
	if err != nil || e.Operation.Key != a.facts.Owner {
		return false // of a mesh that was joined elsewhere the owner is not known
	}
	args, err := wire.Encode(protocol.MeshArchiveRequest{Slug: e.Slug})
	if err != nil {
		return false
	}
	hash, err := seal.ArgsHash(args)
	if err != nil {
		return false
	}
	signature, err := seal.ParseSignature(e.Operation.Signature)
	if err != nil {
		return false
	}
	text := seal.Operation{
		Host: e.Host, MeshID: string(a.mesh.ID), Name: protocol.MeshArchive.Type, Args: hash, Nonce: e.Operation.Nonce, At: time.UnixMilli(e.Operation.AtMs),
	}
	return text.Verify(owner, signature, n.opt.Now()) == nil
}

// welcomed compares what the broker says of the mesh with what is written down.
func (n *Node) welcomed(a *attachment, link *uplink.Link) {
	if said := link.Mesh(); said != nil {
		n.later(a, *said)
	}
}

// later adapts to what the broker says, beside the connection that it came on, which may have to end for it.
func (n *Node) later(a *attachment, said protocol.MeshFacts) {
	if (said.Slug == "" || said.Slug == a.mesh.Slug && said.Name == a.mesh.Name) && (said.Role == "" || said.Role == a.facts.Role) {
		return
	}
	n.background(a, func(ctx context.Context) {
		if err := n.adapt(ctx, a.mesh.ID, said); err != nil && ctx.Err() == nil && !mesh.IsCode(err, mesh.MeshNotAttached) {
			n.opt.Log.Warn("change of a mesh not written down", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
		}
	})
}

// maxBackground is how much work may wait. What finds no room is left out: the next welcome brings it again.
const maxBackground = 64

// background hands over work that outlives the attachment that learned of it.
func (n *Node) background(a *attachment, work func(ctx context.Context)) {
	select {
	case n.behind <- work:
	default:
		n.opt.Log.Warn("change of a mesh left for later", logkey.Mesh, a.mesh.Slug)
	}
}

// workOff does what was handed over, one after the other.
func (n *Node) workOff(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case work := <-n.behind:
			work(ctx)
		}
	}
}

// adapt writes down how a mesh is called, and what we may do in it, and attaches anew where that changed. Fields that are
// empty stay.
func (n *Node) adapt(ctx context.Context, id mesh.ID, said protocol.MeshFacts) error {
	n.adapting.Lock()
	defer n.adapting.Unlock()
	facts, known, err := n.opt.DB.FindMesh(ctx, id)
	if err != nil {
		return err
	}
	renamed, promoted := false, false
	if said.Slug != "" {
		if _, err := mesh.ParseSlug(said.Slug); err != nil {
			return err
		}
		said.Name = mesh.SafeName(said.Name, said.Slug)
		if renamed, err = n.opt.Book.Rename(id, said.Slug, said.Name); err != nil {
			return err
		}
		facts.Slug, facts.Name = said.Slug, said.Name
	}
	if known && (said.Role == "admin" || said.Role == "member") && facts.Role != said.Role {
		facts.Role, promoted = said.Role, true
	}
	if known && (renamed || promoted) {
		if err := n.opt.DB.SaveMesh(ctx, facts); err != nil {
			return err
		}
	}
	switch {
	case promoted:
		n.reattach(id)
	case renamed:
		n.reconcile()
	}
	return nil
}

// nameOf is what a mesh is called for people, which may have changed since it was attached.
func (n *Node) nameOf(a *attachment) string {
	list, err := n.opt.Book.List()
	if err != nil {
		return a.mesh.Name
	}
	for _, m := range list {
		if m.ID == a.mesh.ID {
			return m.Name
		}
	}
	return a.mesh.Name
}

// reattach begins the connections of a mesh anew.
func (n *Node) reattach(id mesh.ID) {
	n.mu.Lock()
	if at, ok := n.attached[id]; ok {
		at.stop()
		delete(n.attached, id)
	}
	n.mu.Unlock()
	n.reconcile()
}
