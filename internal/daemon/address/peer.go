package address

import (
	"cmp"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// peer is what an address can mean: a member, or one session of a member.
type peer struct {
	view    *view
	member  mesh.Key
	session mesh.Key // empty for the member itself
	names   []string // by which it is found
	label   string   // by which it is shown where it was found by its key
	online  bool
	proved  bool // the session key outlives its connection
}

// Channels by which rows of brokers that name no role can be told apart (design B4).
const (
	channelDaemon  = "claudemesh-daemon"
	channelSession = "claudemesh-session"
)

// peersOf collects members and sessions of a mesh: from the roster, then from those that were met before.
func peersOf(v *view) []*peer {
	c := collector{view: v, found: map[peerKey]*peer{}}
	for _, row := range v.rows {
		c.row(row)
	}
	for _, k := range v.Known {
		c.add(k.Member, "", false, k.MemberName)
		if k.Session != "" && k.Session != k.Member {
			c.session(k, false)
		}
	}
	for _, p := range v.Pins {
		if p.holds() {
			c.add(p.Member, "", false, p.Name)
		}
	}
	return c.order
}

type peerKey struct{ member, session mesh.Key }

type collector struct {
	view  *view
	found map[peerKey]*peer
	order []*peer
}

// row takes in one line of a roster. A daemon is no peer: through it only its member is met, and its own display name
// names nobody (daemon 12).
func (c *collector) row(p protocol.Peer) {
	member := p.MemberPubkey
	if member == "" {
		member = p.Pubkey
	}
	online := p.Online == nil || *p.Online
	m := c.add(member, "", online, p.MemberName)
	switch {
	case m == nil, Role(p) == mesh.ControlPlane:
	case p.Pubkey == member || p.Pubkey == "":
		m.name(p.DisplayName)
	default:
		c.session(Known{
			Member: member, MemberName: p.MemberName, Session: p.Pubkey, Name: p.DisplayName,
			Proved: p.Proved || p.Channel == channelSession,
		}, online)
	}
}

// session adds a session. One that goes by its member's name has no name of its own: the name means the member.
func (c *collector) session(k Known, online bool) {
	own := k.Name
	if strings.EqualFold(k.Name, k.MemberName) {
		own = ""
	}
	if s := c.add(k.Member, k.Session, online, own); s != nil {
		s.label = cmp.Or(s.label, k.Name)
		s.proved = s.proved || k.Proved
	}
}

// Role is what a row of a roster is. Where the broker names no role its channel tells: a daemon is one without a session
// key only; with one it is its user's only presence (design B4).
func Role(p protocol.Peer) mesh.PeerRole {
	switch {
	case p.PeerRole != "":
		return p.PeerRole
	case p.Channel == channelDaemon && (p.MemberPubkey == "" || p.Pubkey == p.MemberPubkey || p.Pubkey == ""):
		return mesh.ControlPlane
	case p.Channel == "telegram", p.Channel == "bridge":
		return mesh.ServiceRole
	}
	return mesh.SessionRole
}

// add finds or makes a peer; nil for what has no proper keys. What was met first stays, more is added.
func (c *collector) add(member, session mesh.Key, online bool, name string) *peer {
	if !mesh.IsKey(string(member)) || session != "" && !mesh.IsKey(string(session)) {
		return nil
	}
	id := peerKey{member, session}
	p := c.found[id]
	if p == nil {
		p = &peer{view: c.view, member: member, session: session}
		c.found[id] = p
		c.order = append(c.order, p)
	}
	p.online = p.online || online
	p.name(name)
	return p
}

func (p *peer) name(name string) {
	if name != "" {
		p.names = append(p.names, name)
	}
}

// own reports whether the peer is the caller's own and needs the caller's word to be meant: its member, its session,
// and for a caller outside of any session every session of its member.
func (p *peer) own() bool {
	if p.member != p.view.Member {
		return false
	}
	return p.session == "" || p.session == p.view.Session || p.view.Session == ""
}
