package node

import (
	"context"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Presence is how others see this user and its sessions, and whom they see.
type Presence struct{ node *Node }

// Presence gives that part of the node.
func (n *Node) Presence() Presence { return Presence{n} }

// SetProfile changes what others see of a session, or with an empty id of the user. It is kept, and told again on each
// new connection (daemon 8.4).
func (p Presence) SetProfile(ctx context.Context, sessionID string, req localapi.ProfileRequest) (localapi.ProfileAnswer, error) {
	meshes, err := narrow(p.node, req.Mesh)
	if err != nil {
		return localapi.ProfileAnswer{}, err
	}
	w, fields := wishOf(req)
	if err := w.check(); err != nil {
		return localapi.ProfileAnswer{}, err
	}
	if len(fields) == 0 {
		return localapi.ProfileAnswer{}, mesh.Errorf(mesh.BadRequest, "nothing is to be changed")
	}
	answer := localapi.ProfileAnswer{OK: true, Applied: fields, Meshes: []string{}}
	told := make([]bool, len(meshes))
	failed := make([]error, len(meshes))
	var wait sync.WaitGroup
	for i, at := range meshes {
		if v := at.voices.find(sessionID); v != nil {
			wait.Go(func() { told[i], failed[i] = v.speak(ctx, w, false) })
		}
	}
	wait.Wait()
	for i, at := range meshes {
		switch {
		case failed[i] != nil:
			return localapi.ProfileAnswer{}, failed[i]
		case told[i]:
			answer.Meshes = append(answer.Meshes, at.mesh.Slug)
		case at.voices.find(sessionID) != nil:
			answer.Waiting = append(answer.Waiting, at.mesh.Slug)
		}
	}
	return answer, nil
}

// check refuses what no broker takes.
func (w wish) check() error {
	if w.Status != nil {
		switch *w.Status {
		case mesh.Idle, mesh.Working, mesh.DND:
		default:
			return mesh.Errorf(mesh.BadRequest, "status is idle, working or dnd")
		}
	}
	switch w.Source {
	case "", "hook", "manual", "jsonl":
		return nil
	}
	return mesh.Errorf(mesh.BadRequest, "source is hook, manual or jsonl")
}

// Profiles is what others see of a session, or of the user, in each mesh: as the broker has it where it answers, else
// what it will be told.
func (p Presence) Profiles(ctx context.Context, sessionID string, req localapi.ProfilesRequest) (localapi.ProfilesAnswer, error) {
	meshes, err := narrow(p.node, req.Mesh)
	if err != nil {
		return localapi.ProfilesAnswer{}, err
	}
	found := make([]*localapi.ProfileOf, len(meshes))
	var wait sync.WaitGroup
	for i, at := range meshes {
		wait.Go(func() { found[i] = profileOf(ctx, at, sessionID) })
	}
	wait.Wait()
	answer := localapi.ProfilesAnswer{Profiles: []localapi.ProfileOf{}}
	for _, f := range found {
		if f != nil {
			answer.Profiles = append(answer.Profiles, *f)
		}
	}
	return answer, nil
}

// profileOf is what others see in one mesh; nil for a session that is not there.
func profileOf(ctx context.Context, a *attachment, sessionID string) *localapi.ProfileOf {
	v := a.voices.find(sessionID)
	if v == nil {
		return nil
	}
	p := &localapi.ProfileOf{
		Mesh: a.mesh.Slug, MeshID: a.mesh.ID, MemberID: a.mesh.MemberID, Pubkey: a.mesh.Pubkey(), Access: accessOf(a.facts),
		DisplayName: a.node.opt.User, Groups: []protocol.Group{}, MessageMode: "push", Status: mesh.Idle, Visible: true,
	}
	if s := a.session(sessionID); s != nil {
		p.Pubkey, p.DisplayName, p.Role, p.MessageMode = s.Pubkey(), s.session.Name, s.session.Role, s.session.MessageMode
		p.Groups = append(p.Groups, s.session.Groups...)
	}
	if link := v.link(); link != nil {
		p.Connection = string(link.State())
	}
	if kept, err := v.kept(ctx); err == nil {
		kept.describe(p)
	}
	if all, err := a.roster.now(ctx); err == nil {
		for i := range all {
			if row := &all[i]; online(*row) && row.Pubkey == p.Pubkey && (sessionID != "" || row.PeerRole == mesh.ControlPlane) {
				describeRow(p, row)
			}
		}
	}
	return p
}

func accessOf(facts localdb.Mesh) string {
	if facts.Role == "" {
		return "member"
	}
	return facts.Role
}

// describe puts a wish into a profile.
func (w wish) describe(p *localapi.ProfileOf) {
	for _, f := range []struct{ from, to *string }{
		{w.Summary, &p.Summary}, {w.Avatar, &p.Profile.Avatar}, {w.Title, &p.Profile.Title}, {w.Bio, &p.Profile.Bio},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if w.Status != nil {
		p.Status = *w.Status
	}
	if w.Visible != nil {
		p.Visible = *w.Visible
	}
	p.Profile.Capabilities = w.Capabilities
}

// describeRow puts what the broker has into a profile.
func describeRow(p *localapi.ProfileOf, row *protocol.Peer) {
	p.DisplayName, p.Status, p.Groups, p.Summary, p.Profile = row.DisplayName, row.Status, row.Groups, "", protocol.Profile{}
	if row.Summary != nil {
		p.Summary = *row.Summary
	}
	if row.Profile != nil {
		p.Profile = *row.Profile
	}
	p.Visible = row.Visible == nil || *row.Visible
}

// infoTime bounds asking a broker for an overview, or for a sign of life.
const infoTime = 5 * time.Second

// Info gives overviews of the joined meshes, as a session, or the user, sees them.
func (p Presence) Info(ctx context.Context, sessionID string, req localapi.InfoRequest) (localapi.InfoAnswer, error) {
	meshes, err := narrow(p.node, req.Mesh)
	if err != nil {
		return localapi.InfoAnswer{}, err
	}
	answer := localapi.InfoAnswer{Meshes: make([]localapi.MeshInfo, len(meshes))}
	var wait sync.WaitGroup
	for i, at := range meshes {
		wait.Go(func() { answer.Meshes[i] = infoOf(ctx, at, sessionID) })
	}
	wait.Wait()
	return answer, nil
}

func infoOf(ctx context.Context, a *attachment, sessionID string) localapi.MeshInfo {
	out := localapi.MeshInfo{
		Slug: a.mesh.Slug, MeshID: a.mesh.ID, MemberID: a.mesh.MemberID, BrokerURL: a.mesh.BrokerURL, DisplayName: a.node.opt.User,
	}
	link := a.link
	if s := a.session(sessionID); s != nil {
		link, out.DisplayName = s.link, s.session.Name
	}
	ctx, cancel := context.WithTimeout(ctx, infoTime)
	defer cancel()
	begun(ctx, a)
	out.Status = string(link.State())
	peer := link.Peer()
	if peer == nil {
		out.Error = downText(link.LastError())
		return out
	}
	info, err := protocol.ReadMeshInfo.Do(ctx, peer, protocol.MeshInfoRequest{})
	if err != nil {
		out.Error = mesh.PublicText(err)
		return out
	}
	out.Info, out.DisplayName = &info, info.YourName
	return out
}

// begun waits a moment for the first connection of a daemon that has just started.
func begun(ctx context.Context, a *attachment) {
	if s := a.link.State(); s == uplink.Connecting || s == uplink.Closed {
		a.settle(ctx)
	}
}

func downText(err error) string {
	if err == nil {
		return "not connected"
	}
	return mesh.PublicText(err)
}

// Ping measures the way to the broker of each mesh and back, on the connection of a session, or of the user.
func (p Presence) Ping(ctx context.Context, sessionID string, req localapi.PingRequest) (localapi.PingAnswer, error) {
	meshes, err := narrow(p.node, req.Mesh)
	if err != nil {
		return localapi.PingAnswer{}, err
	}
	answer := localapi.PingAnswer{Meshes: make([]localapi.Ping, len(meshes))}
	var wait sync.WaitGroup
	for i, at := range meshes {
		wait.Go(func() { answer.Meshes[i] = ping(ctx, at, sessionID) })
	}
	wait.Wait()
	return answer, nil
}

func ping(ctx context.Context, a *attachment, sessionID string) localapi.Ping {
	ctx, cancel := context.WithTimeout(ctx, infoTime)
	defer cancel()
	begun(ctx, a)
	link := a.link
	if s := a.session(sessionID); s != nil {
		link = s.link
	}
	out := localapi.Ping{Mesh: a.mesh.Slug, Status: string(link.State())}
	out.Waiting = a.health(ctx).OutboxPending
	peer := link.Peer()
	if peer == nil {
		out.Error = downText(link.LastError())
		return out
	}
	start := a.node.opt.Now()
	if err := peer.Conn().Ping(ctx); err != nil {
		out.Error = "no answer to a ping within " + infoTime.String()
		return out
	}
	out.OK, out.RoundTripMS = true, float64(a.node.opt.Now().Sub(start).Microseconds())/1000
	if all, err := a.roster.lately(ctx); err == nil {
		out.PeersOnline = len(a.roster.view(all, sessionID, localapi.PeersRequest{}))
	}
	return out
}
