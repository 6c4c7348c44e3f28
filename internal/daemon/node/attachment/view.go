package attachment

import (
	"cmp"
	"slices"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// viewer is who looks, and at which mesh.
type viewer struct {
	Mesh   string                   // slug
	Own    mesh.Key                 // own member key
	Self   mesh.Key                 // the caller's session key; empty for a caller outside of a session
	Proved func(protocol.Peer) bool // reports whether the key behind a row is proved
	Grants mesh.Grants              // what the own member lets others do
}

// Rows gives the rows that a caller asked for, own ones first. A member whose only connection is its daemon is shown as a
// member that is online: it can be written to, and its daemon itself is nobody's peer (design B4).
func (v viewer) Rows(all []protocol.Peer, req localapi.PeersRequest) []localapi.Peer {
	daemons := map[mesh.Key]protocol.Peer{}
	sessions := map[mesh.Key]bool{}
	for _, p := range all {
		switch {
		case p.PeerRole == mesh.ControlPlane:
			daemons[p.MemberPubkey] = p
		case online(p):
			sessions[p.MemberPubkey] = true
		}
	}
	out := []localapi.Peer{}
	for _, p := range all {
		daemon := p.PeerRole == mesh.ControlPlane
		if daemon && req.All || !daemon && (online(p) || req.Offline && (p.Pubkey != p.MemberPubkey || daemons[p.MemberPubkey].Pubkey == "")) {
			out = append(out, v.row(p))
		}
	}
	for _, p := range memberRows(daemons, sessions) {
		out = append(out, v.row(p))
	}
	slices.SortStableFunc(out, func(x, y localapi.Peer) int { return selfRank(x) - selfRank(y) })
	return out
}

func (v viewer) row(p protocol.Peer) localapi.Peer {
	p.DisplayName = mesh.SafeName(p.DisplayName, p.Pubkey.Short())
	return localapi.Peer{
		Peer: p, Mesh: v.Mesh, IsSelf: p.MemberPubkey == v.Own, IsThisSession: v.Self != "" && p.Pubkey == v.Self,
		Verified: p.MemberPubkey == v.Own || v.Proved(p), Blocked: p.MemberPubkey != v.Own && v.Grants.Of(p.MemberPubkey, p.Pubkey) == 0,
	}
}

// memberRows makes the rows of members who are reached by their daemon alone.
func memberRows(daemons map[mesh.Key]protocol.Peer, sessions map[mesh.Key]bool) []protocol.Peer {
	var rows []protocol.Peer
	for member, d := range daemons {
		if sessions[member] {
			continue
		}
		on := true
		rows = append(rows, protocol.Peer{
			Pubkey: member, MemberPubkey: member, MemberName: d.MemberName, DisplayName: cmp.Or(d.MemberName, d.DisplayName), Status: d.Status,
			Summary: d.Summary, Stats: d.Stats, Visible: d.Visible, Profile: d.Profile, Reconnecting: d.Reconnecting,
			Groups: d.Groups, ConnectedAt: d.ConnectedAt, PeerRole: mesh.SessionRole, Online: &on, PeerType: "human",
		})
	}
	slices.SortFunc(rows, func(x, y protocol.Peer) int { return cmp.Compare(x.MemberPubkey, y.MemberPubkey) })
	return rows
}

func selfRank(p localapi.Peer) int {
	switch {
	case p.IsThisSession:
		return 0
	case p.IsSelf:
		return 1
	}
	return 2
}
