package attachment

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Profile is what others see in one mesh; nil for a session that is not there.
func (a *Attachment) Profile(ctx context.Context, sessionID string) *localapi.ProfileOf {
	v := a.Voice(sessionID)
	if v == nil {
		return nil
	}
	p := &localapi.ProfileOf{
		Mesh: a.Mesh.Slug, MeshID: a.Mesh.ID, MemberID: a.Mesh.MemberID, Pubkey: a.Mesh.Pubkey(), Access: accessOf(a.Facts),
		DisplayName: a.opt.User, Groups: []protocol.Group{}, MessageMode: "push", Status: mesh.Idle, Visible: true,
	}
	if s := a.Sessions.Find(sessionID); s != nil {
		p.Pubkey, p.DisplayName, p.Role, p.MessageMode = s.Pubkey(), s.Session.Name, s.Session.Role, s.Session.MessageMode
		p.Groups = append(p.Groups, s.Session.Groups...)
	}
	if link := v.link(); link != nil {
		p.Connection = string(link.State())
	}
	if kept, err := v.kept(ctx); err == nil {
		kept.describe(p)
	}
	if all, err := a.Roster.Now(ctx); err == nil {
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

// Info gives an overview of the mesh as a session, or the user, sees it.
func (a *Attachment) Info(ctx context.Context, sessionID string) localapi.MeshInfo {
	out := localapi.MeshInfo{
		Slug: a.Mesh.Slug, MeshID: a.Mesh.ID, MemberID: a.Mesh.MemberID, BrokerURL: a.Mesh.BrokerURL, DisplayName: a.opt.User,
	}
	link := a.Link
	if s := a.Sessions.Find(sessionID); s != nil {
		link, out.DisplayName = s.Link, s.Session.Name
	}
	ctx, cancel := context.WithTimeout(ctx, infoTime)
	defer cancel()
	a.begun(ctx)
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
func (a *Attachment) begun(ctx context.Context) {
	if s := a.Link.State(); s == uplink.Connecting || s == uplink.Closed {
		Settle(ctx, a.Link)
	}
}

// lookTime is how long a try may take that somebody asked for.
const lookTime = time.Second

// look tries now what would wait for its next try: a broker that is back shall not be called away.
func (a *Attachment) look(ctx context.Context, link *uplink.Link) {
	if link.State() != uplink.Reconnecting {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	a.Nudge()
	Settle(ctx, link)
}

func downText(err error) string {
	if err == nil {
		return "not connected"
	}
	return mesh.PublicText(err)
}

// Ping measures the way to the broker and back, on the connection of a session, or of the user.
func (a *Attachment) Ping(ctx context.Context, sessionID string) localapi.Ping {
	ctx, cancel := context.WithTimeout(ctx, infoTime)
	defer cancel()
	link := a.Link
	if s := a.Sessions.Find(sessionID); s != nil {
		link = s.Link
	}
	a.begun(ctx)
	a.look(ctx, link)
	out := localapi.Ping{Mesh: a.Mesh.Slug, Status: string(link.State())}
	out.Waiting = a.Health(ctx).OutboxPending
	peer := link.Peer()
	if peer == nil {
		err := link.LastError()
		out.Error = downText(err)
		if code := mesh.CodeOf(err); err != nil && code != mesh.Internal {
			out.Code = code
		}
		return out
	}
	start := a.opt.Now()
	if err := peer.Conn().Ping(ctx); err != nil {
		out.Error = "no answer to a ping within " + infoTime.String()
		return out
	}
	out.OK, out.RoundTripMS = true, float64(a.opt.Now().Sub(start).Microseconds())/1000
	if all, err := a.Roster.Lately(ctx); err == nil {
		out.PeersOnline = len(a.Roster.View(all, sessionID, localapi.PeersRequest{}))
	}
	return out
}
