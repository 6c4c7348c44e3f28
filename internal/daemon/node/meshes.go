package node

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/enroll"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/node/decree"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Meshes lists the joined meshes in the order of config.json.
func (n *Node) Meshes(ctx context.Context) (localapi.MeshesAnswer, error) {
	answer := localapi.MeshesAnswer{Meshes: []localapi.Mesh{}, ConfigPath: n.opt.Book.Path()}
	if _, err := n.opt.Book.List(); err != nil {
		return answer, err // say that the file is unreadable instead of that nothing is joined
	}
	for _, at := range n.meshes() {
		m, err := at.describe(ctx)
		if err != nil {
			return answer, err
		}
		answer.Meshes = append(answer.Meshes, m)
	}
	return answer, nil
}

func (a *attachment) describe(ctx context.Context) (localapi.Mesh, error) {
	pending, err := a.node.opt.Outbox.Pending(ctx, a.mesh.ID)
	if err != nil {
		return localapi.Mesh{}, err
	}
	role := a.facts.Role
	if role == "" {
		role = "member"
	}
	m := localapi.Mesh{
		Slug: a.mesh.Slug, Name: a.node.owners.NameOf(a.mesh.ID, a.mesh.Name), MeshID: a.mesh.ID, MemberID: a.mesh.MemberID, Pubkey: a.mesh.Pubkey(), Role: role,
		IsOwner: a.facts.IsOwner, BrokerURL: a.mesh.BrokerURL, JoinedAt: mesh.FormatTime(a.mesh.JoinedAt), Status: string(a.link.State()), Pending: pending,
	}
	if err := a.link.LastError(); err != nil {
		m.LastError = mesh.PublicText(err)
	}
	if version := a.link.Auth(); version > 0 {
		m.Auth = "auth/" + strconv.Itoa(version)
	}
	if owner, err := seal.DecodePublicKey(string(a.facts.Owner)); err == nil {
		m.OwnerPrint = seal.OwnerFingerprint(string(a.mesh.ID), owner)
	}
	return m, nil
}

// CreateMesh makes a mesh whose owner's key stays on this device (design C1).
func (n *Node) CreateMesh(ctx context.Context, req localapi.MeshCreateRequest) (localapi.MeshAnswer, error) {
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
	return n.enter(ctx, founded.Mesh, localdb.Mesh{
		ID: founded.Mesh.ID, Slug: founded.Mesh.Slug, Name: founded.Mesh.Name, Owner: mesh.Key(owner.Public().String()), Role: founded.Role, IsOwner: true,
		BrokerPin: req.BrokerPin,
	})
}

// enter writes a mesh down and attaches to it. The facts go first: without them the mesh would be of an unknown owner.
func (n *Node) enter(ctx context.Context, m membership.Mesh, facts localdb.Mesh) (localapi.MeshAnswer, error) {
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
	at.settle(ctx)
	view, err := at.describe(ctx)
	return localapi.MeshAnswer{Mesh: view, Unpinned: facts.Unpinned}, err
}

// settleTime is how long a verb that entered a mesh waits for its connection, so that what comes next finds it open.
const settleTime = 3 * time.Second

// settle waits until the mesh is open, refused, or too slow to wait for.
func (a *attachment) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		changed := a.link.Changed()
		if a.link.Peer() != nil || a.link.State().Final() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// JoinMesh joins by an invite. A mesh that is joined already is found by the owner's fingerprint and claims nothing, unless
// its broker is not there and the link leads elsewhere: then it has moved, and the same key goes on at the new place.
func (n *Node) JoinMesh(ctx context.Context, req localapi.MeshJoinRequest) (localapi.MeshAnswer, error) {
	name, err := enroll.MemberName(req.DisplayName, n.opt.User)
	if err != nil {
		return localapi.MeshAnswer{}, err
	}
	link, err := enroll.ParseLink(req.Link, req.BrokerURL)
	if err != nil {
		return localapi.MeshAnswer{}, err
	}
	for _, at := range n.meshes() {
		if !link.Of(at.mesh.ID, at.facts.Owner) {
			continue
		}
		if at.link.Peer() == nil && !link.LeadsTo(at.mesh.BrokerURL, at.facts.BrokerPin) {
			return move(ctx, n, at, link, name)
		}
		view, err := at.describe(ctx)
		return localapi.MeshAnswer{Mesh: view, AlreadyJoined: true}, err
	}
	joined, err := n.enroll.Redeem(ctx, link, name, seal.NewSecretKey())
	if err != nil {
		return localapi.MeshAnswer{}, err
	}
	return n.enter(ctx, joined.Mesh, localdb.Mesh{
		ID: joined.Mesh.ID, Slug: joined.Mesh.Slug, Name: joined.Mesh.Name, Owner: joined.Owner, Role: joined.Role,
		BrokerPin: joined.Pin, Unpinned: joined.Unpinned,
	})
}

// move goes on with a mesh at the broker that a link of its owner leads to.
func move(ctx context.Context, n *Node, at *attachment, link enroll.Link, name string) (localapi.MeshAnswer, error) {
	joined, err := n.enroll.Redeem(ctx, link, name, at.mesh.Secret)
	if err != nil {
		return localapi.MeshAnswer{}, err
	}
	m, facts := at.mesh, at.facts
	m.BrokerURL, m.MemberID, facts.BrokerPin = joined.Mesh.BrokerURL, joined.Mesh.MemberID, joined.Pin
	answer, err := n.enter(ctx, m, facts)
	if err == nil && m.BrokerURL == at.mesh.BrokerURL { // only the pin is another: the connections do not show it
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
	return dropped, n.opt.DB.RemoveMesh(ctx, m.ID)
}

// leaveTime bounds telling the broker that a member leaves.
const leaveTime = 5 * time.Second

// LeaveMesh ends this device's membership. Without the broker's confirmation, and for the owner, it needs force.
func (n *Node) LeaveMesh(ctx context.Context, req localapi.MeshLeaveRequest) (localapi.MeshLeaveAnswer, error) {
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
		answer.Everywhere, answer.BrokerTold, answer.OwnerKeyKept = true, true, n.opt.Book.OwnerPath(at.mesh.ID)
	case at.facts.IsOwner && !req.Force:
		return answer, mesh.Errorf(mesh.Forbidden, "this device owns %s: without it nobody can invite or remove members; leave it with --yes", req.Slug)
	case at.facts.IsOwner:
		answer.OwnerKeyKept = n.opt.Book.OwnerPath(at.mesh.ID)
	default:
		if err := at.tellLeaving(ctx); err != nil && !req.Force {
			return answer, mesh.Errorf(mesh.CodeOf(err), "the broker did not confirm (leave with --yes to forget the mesh here): %w", err)
		} else if err == nil {
			answer.BrokerTold = true
		}
	}
	answer.DroppedOutbox, err = forget(ctx, n, at.mesh)
	return answer, err
}

func (a *attachment) tellLeaving(ctx context.Context) error {
	_, err := ask(ctx, a, leaveTime, protocol.MeshLeave, protocol.LeaveRequest{})
	return err
}

// ask makes one call to the broker of a mesh.
func ask[Req, Resp any](ctx context.Context, a *attachment, limit time.Duration, c wire.Call[Req, Resp], req Req) (Resp, error) {
	var none Resp
	peer := a.link.Peer()
	if peer == nil {
		return none, mesh.Errorf(mesh.BrokerDown, "%s is not connected to its broker", a.mesh.Slug)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.Do(ctx, peer, req)
}

// Status counts a mesh for health; an unreadable outbox counts nothing and is logged.
func (a *attachment) health(ctx context.Context) localapi.MeshHealth {
	h := localapi.MeshHealth{Mesh: a.mesh.Slug, MeshID: a.mesh.ID, Status: string(a.link.State())}
	if err := a.link.LastError(); err != nil {
		h.LastError = mesh.PublicText(err)
	}
	pending, err := a.node.opt.Outbox.Pending(ctx, a.mesh.ID)
	if err != nil {
		a.node.opt.Log.Warn("outbox not counted", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
	}
	h.OutboxPending = pending
	a.mu.Lock()
	h.Sessions = len(a.sessions)
	a.mu.Unlock()
	return h
}

// Health is the state of every mesh.
func (n *Node) Health(ctx context.Context) []localapi.MeshHealth {
	all := []localapi.MeshHealth{}
	for _, at := range n.meshes() {
		all = append(all, at.health(ctx))
	}
	return all
}
