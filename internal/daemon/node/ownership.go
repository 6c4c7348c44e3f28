package node

import (
	"context"
	"sync"

	"github.com/claudemesh/claudemesh/internal/daemon/node/decree"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// maxBehind is how many changes may wait. What finds no room is left out: the next welcome of a broker brings it again.
const maxBehind = 64

// Ownership is what the owner of a mesh changes in it, and how its members follow.
type Ownership struct {
	n *Node
	decree.Records
	one    sync.Mutex                 // held by who writes a change down
	behind chan func(context.Context) // changes that attachments learned of, which may outlive them
}

func newOwnership(n *Node) *Ownership {
	return &Ownership{n: n, Records: decree.Records{Book: n.opt.Book, DB: n.opt.DB}, behind: make(chan func(context.Context), maxBehind)}
}

// Ownership gives what owners do.
func (n *Node) Ownership() *Ownership { return n.ownership }

// Rename renames a mesh for everybody, here at once.
func (o *Ownership) Rename(ctx context.Context, req localapi.MeshUpdateRequest) (localapi.MeshAnswer, error) {
	var none localapi.MeshAnswer
	at, owner, err := owned(o.n, req.Slug)
	if err != nil {
		return none, err
	}
	for _, other := range o.n.meshes() {
		if other != at && other.mesh.Slug == req.NewSlug {
			return none, mesh.Errorf(mesh.SlugTaken, "another mesh that is joined here is called %s", req.NewSlug)
		}
	}
	now, err := owner.Rename(ctx, req.NewSlug, req.Name)
	if err != nil {
		return none, err
	}
	if err := o.adapt(ctx, at.mesh.ID, protocol.MeshFacts{Slug: now.Slug, Name: now.Name}); err != nil {
		return none, err
	}
	if at, err = o.n.byID(at.mesh.ID); err != nil {
		return none, err
	}
	at.settle(ctx)
	view, err := at.describe(ctx)
	return localapi.MeshAnswer{Mesh: view, AlreadyJoined: true}, err
}

// SetRole changes the role of a member.
func (o *Ownership) SetRole(ctx context.Context, req localapi.MemberUpdateRequest) (localapi.MemberAnswer, error) {
	_, owner, err := owned(o.n, req.Slug)
	if err != nil {
		return localapi.MemberAnswer{}, err
	}
	now, err := owner.SetRole(ctx, req.Member, req.Role)
	return localapi.MemberAnswer{Mesh: req.Slug, MemberID: now.MemberID, Pubkey: now.MemberPubkey, Name: now.Name, Role: now.Role}, err
}

// archive ends a mesh for everybody. It may be called differently here than at its broker, where another has its name.
func (o *Ownership) archive(ctx context.Context, at *attachment) error {
	_, owner, err := owned(o.n, at.mesh.Slug)
	if err != nil {
		return err
	}
	slug := at.mesh.Slug
	if said := at.link.Mesh(); said != nil {
		slug = said.Slug
	}
	return owner.Archive(ctx, slug)
}

// follow takes in what the owner changed, as an event tells it.
func (o *Ownership) follow(a *attachment, msg protocol.PushedMessage) {
	o.learn(a, decree.News(msg, a.mesh.MemberID))
	var e protocol.ArchivedEvent
	if msg.Event != protocol.MeshArchived || wire.Decode(msg.EventData, &e) != nil || !decree.Ended(a.mesh.ID, a.facts.Owner, e, o.n.opt.Now()) {
		return
	}
	o.later(a, func(ctx context.Context) error {
		o.n.opt.Log.Info("the owner has ended a mesh", logkey.Mesh, a.mesh.Slug)
		_, err := forget(ctx, o.n, a)
		return err
	})
}

// learn takes in what a broker says of a mesh: in an event, or in its welcome to who was away.
func (o *Ownership) learn(a *attachment, said protocol.MeshFacts) {
	if (said.Slug == "" || said.Slug == a.mesh.Slug && said.Name == a.mesh.Name) && (said.Role == "" || said.Role == a.facts.Role) {
		return
	}
	o.later(a, func(ctx context.Context) error { return o.adapt(ctx, a.mesh.ID, said) })
}

// later hands over work beside the attachment that learned of it, which may have to end for it.
func (o *Ownership) later(a *attachment, work func(ctx context.Context) error) {
	select {
	case o.behind <- func(ctx context.Context) {
		if err := work(ctx); err != nil && ctx.Err() == nil && !mesh.IsCode(err, mesh.MeshNotAttached) {
			o.n.opt.Log.Warn("change of a mesh not written down", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
		}
	}:
	default:
		o.n.opt.Log.Warn("change of a mesh left for later", logkey.Mesh, a.mesh.Slug)
	}
}

// run does what was handed over, one after the other.
func (o *Ownership) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case work := <-o.behind:
			work(ctx)
		}
	}
}

// adapt writes a change down, and attaches anew where the connections have to know.
func (o *Ownership) adapt(ctx context.Context, id mesh.ID, said protocol.MeshFacts) error {
	o.one.Lock()
	defer o.one.Unlock()
	renamed, role, err := o.Keep(ctx, id, said)
	if err != nil || !renamed && !role {
		return err
	}
	n := o.n
	n.mu.Lock()
	if at, ok := n.attached[id]; ok && role {
		at.stop()
		delete(n.attached, id)
	}
	n.mu.Unlock()
	n.reconcile()
	return nil
}
