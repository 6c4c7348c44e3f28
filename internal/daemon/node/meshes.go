package node

import (
	"context"
	"errors"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/enroll"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/daemon/node/decree"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Memberships are the joined meshes, and how they come and go.
type Memberships struct{ n *Node }

// Memberships gives that part of the node.
func (n *Node) Memberships() Memberships { return Memberships{n} }

// List lists the joined meshes in the order of config.json.
func (o Memberships) List(ctx context.Context) (localapi.MeshesAnswer, error) {
	n := o.n
	answer := localapi.MeshesAnswer{Meshes: []localapi.Mesh{}, ConfigPath: n.opt.Book.Path(), Unserved: unserved(n)}
	if _, err := n.opt.Book.List(); err != nil {
		return answer, err // say that the file is unreadable instead of that nothing is joined
	}
	for _, at := range n.meshes() {
		m, err := at.Describe(ctx)
		if err != nil {
			return answer, err
		}
		answer.Meshes = append(answer.Meshes, m)
	}
	return answer, nil
}

// Create makes a mesh whose owner's key stays on this device (design C1).
func (o Memberships) Create(ctx context.Context, req localapi.MeshCreateRequest) (localapi.MeshAnswer, error) {
	n := o.n
	name, err := enroll.MemberName(req.DisplayName, n.opt.User)
	if err != nil {
		return localapi.MeshAnswer{}, err
	}
	if req.Slug != "" {
		if _, err := mesh.ParseSlug(req.Slug); err != nil {
			return localapi.MeshAnswer{}, err
		}
	}
	broker := req.BrokerURL
	if broker == "" {
		broker = n.opt.Settings.BrokerURL
	}
	token := req.Token
	if token == "" && decree.OnThisMachine(broker) {
		token = enroll.LocalCreateToken(n.opt.Home.Broker)
	}
	owner, err := n.opt.Book.NewOwner(n.opt.Now())
	if err != nil {
		return localapi.MeshAnswer{}, err
	}
	founded, err := n.enroll.CreateMesh(ctx, enroll.Founding{
		BrokerURL: broker, Pin: req.BrokerPin, Token: token, Name: req.Name, Slug: req.Slug, DisplayName: name, Owner: owner, Member: seal.NewSecretKey(),
	})
	if err != nil {
		if code := mesh.CodeOf(err); code != mesh.Timeout && code != mesh.Cancelled && code != mesh.BrokerDown {
			err = errors.Join(err, n.opt.Book.DropOwner(owner)) // refused for certain: no mesh has this key
		}
		return localapi.MeshAnswer{}, err
	}
	if err := n.opt.Book.SaveOwner(founded.Mesh.ID, owner, n.opt.Now()); err != nil {
		return localapi.MeshAnswer{}, err
	}
	return enter(ctx, n, founded.Mesh, localdb.Mesh{
		ID: founded.Mesh.ID, Slug: founded.Mesh.Slug, Name: founded.Mesh.Name, Owner: mesh.Key(owner.Public().String()), Role: founded.Role, IsOwner: true,
		BrokerPin: req.BrokerPin,
	})
}

// enter writes a mesh down and attaches to it. The facts go first: without them the mesh would be of an unknown owner.
func enter(ctx context.Context, n *Node, m membership.Mesh, facts localdb.Mesh) (localapi.MeshAnswer, error) {
	if err := n.opt.DB.SaveMesh(ctx, facts); err != nil {
		return localapi.MeshAnswer{}, err
	}
	if err := n.opt.Book.Add(m); err != nil {
		return localapi.MeshAnswer{}, err
	}
	n.reconcile()
	at, err := n.byID(m.ID)
	if err != nil {
		return localapi.MeshAnswer{}, err
	}
	attachment.Settle(ctx, at.Link)
	view, err := at.Describe(ctx)
	return localapi.MeshAnswer{Mesh: view, Unpinned: facts.Unpinned}, err
}

// Join joins by an invite. A mesh that is joined already is found by the owner's fingerprint and claims nothing, unless
// its broker is not there and the link leads elsewhere: then it has moved, and the same key goes on at the new place.
func (o Memberships) Join(ctx context.Context, req localapi.MeshJoinRequest) (localapi.MeshAnswer, error) {
	n := o.n
	name, err := enroll.MemberName(req.DisplayName, n.opt.User)
	if err != nil {
		return localapi.MeshAnswer{}, err
	}
	link, err := enroll.ParseLink(req.Link, req.BrokerURL)
	if err != nil {
		if at, findErr := n.find(req.Link); findErr == nil && req.BrokerURL == "" { // the name of a joined mesh (cli 15)
			return joinedAlready(ctx, at)
		}
		return localapi.MeshAnswer{}, err
	}
	before, err := joinedMeshes(ctx, n)
	if err != nil {
		return localapi.MeshAnswer{}, err
	}
	if link, err = n.enroll.Recognise(ctx, link, name, before); err != nil {
		return localapi.MeshAnswer{}, err
	}
	readmit(n, link, before)
	for _, at := range n.meshes() {
		if !link.Of(at.Mesh.ID, at.Facts.Owner) {
			continue
		}
		if at.Link.Peer() == nil && !link.LeadsTo(at.Mesh.BrokerURL, at.Facts.BrokerPin) {
			return move(ctx, n, at, link, name)
		}
		return joinedAlready(ctx, at)
	}
	joined, err := n.enroll.Redeem(ctx, link, name, seal.NewSecretKey())
	if err != nil {
		return localapi.MeshAnswer{}, err
	}
	if err := keepKey(n, before, joined.Mesh.ID); err != nil {
		return localapi.MeshAnswer{}, err
	}
	return enter(ctx, n, joined.Mesh, localdb.Mesh{
		ID: joined.Mesh.ID, Slug: joined.Mesh.Slug, Name: joined.Mesh.Name, Owner: joined.Owner, Role: joined.Role,
		BrokerPin: joined.Pin, Unpinned: joined.Unpinned,
	})
}

// joinedAlready answers who joins a mesh once more: whoever was banned may be let in again.
func joinedAlready(ctx context.Context, at *attachment.Attachment) (localapi.MeshAnswer, error) {
	at.Knock(ctx)
	view, err := at.Describe(ctx)
	return localapi.MeshAnswer{Mesh: view, AlreadyJoined: true}, err
}

// move goes on with a mesh at the broker that a link of its owner leads to.
func move(ctx context.Context, n *Node, at *attachment.Attachment, link enroll.Link, name string) (localapi.MeshAnswer, error) {
	joined, err := n.enroll.Redeem(ctx, link, name, at.Mesh.Secret)
	if err != nil {
		return localapi.MeshAnswer{}, err
	}
	m, facts := at.Mesh, at.Facts
	m.BrokerURL, m.MemberID, facts.BrokerPin = joined.Mesh.BrokerURL, joined.Mesh.MemberID, joined.Pin
	answer, err := enter(ctx, n, m, facts)
	if err == nil && m.BrokerURL == at.Mesh.BrokerURL { // only the pin is another: the connections do not show it
		n.owners.Attach(m.ID, true)
	}
	answer.AlreadyJoined = true
	return answer, err
}

// forget takes a mesh off this device, and tells how many unsent messages end with it.
func forget(ctx context.Context, n *Node, m membership.Mesh) (dropped int, err error) {
	if now, err := n.opt.Book.Find(m.Slug); err != nil || now.ID != m.ID {
		return 0, mesh.Errorf(mesh.MeshNotAttached, "%s is not joined any more", m.Slug)
	}
	if _, err := n.opt.Book.Remove(m.Slug); err != nil {
		return 0, err
	}
	n.reconcile()
	if dropped, err = n.opt.Outbox.DropMesh(ctx, m.ID); err != nil {
		return dropped, err
	}
	if err = n.opt.DB.RemoveMesh(ctx, m.ID); err == nil {
		for _, at := range n.meshes() { // what sessions were offered of the other one is gone
			NewSkills(n).tell(at)
		}
	}
	return dropped, err
}

// leaveTime bounds telling the broker that a member leaves.
const leaveTime = 5 * time.Second

// Leave ends this device's membership. Without the broker's confirmation, and for the owner, it needs force.
func (o Memberships) Leave(ctx context.Context, req localapi.MeshLeaveRequest) (localapi.MeshLeaveAnswer, error) {
	n := o.n
	at, err := n.find(req.Slug)
	if err != nil {
		return localapi.MeshLeaveAnswer{}, err
	}
	answer := localapi.MeshLeaveAnswer{Slug: req.Slug}
	switch {
	case req.Everywhere:
		if err := n.Ownership().archive(ctx, at); err != nil {
			return answer, err
		}
		answer.Everywhere, answer.BrokerTold, answer.OwnerKeyKept = true, true, n.opt.Book.OwnerPath(at.Mesh.ID)
	case at.Facts.IsOwner && !req.Force:
		return answer, mesh.Errorf(mesh.Forbidden, "this device owns %s: without it nobody can invite or remove members; leave it with --yes", req.Slug)
	case at.Facts.IsOwner:
		answer.OwnerKeyKept = n.opt.Book.OwnerPath(at.Mesh.ID)
	default:
		if err := tellLeaving(ctx, at); err != nil && !req.Force {
			return answer, mesh.Errorf(mesh.CodeOf(err), "the broker did not confirm (leave with --yes to forget the mesh here): %w", err)
		} else if err == nil {
			answer.BrokerTold = true
		}
	}
	answer.DroppedOutbox, err = forget(ctx, n, at.Mesh)
	return answer, err
}

func tellLeaving(ctx context.Context, at *attachment.Attachment) error {
	_, err := attachment.Ask(ctx, at, leaveTime, protocol.MeshLeave, protocol.LeaveRequest{})
	return err
}

// Health is the state of every mesh.
func (o Memberships) Health(ctx context.Context) []localapi.MeshHealth {
	all := []localapi.MeshHealth{}
	for _, at := range o.n.meshes() {
		all = append(all, at.Health(ctx))
	}
	return all
}
