// Package roster tells who is in a mesh: every connection, and on request the members and sessions that are known
// and not connected.
package roster

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/presence"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Roster answers list_peers, member_list and mesh_info. Its fields are set once; it may be used from any goroutine.
type Roster struct {
	DB          *sqlite.DB
	Connections func(context.Context, mesh.ID) ([]hub.Conn, error) // of a mesh, oldest first
	// Complete gives what is known of connections, and who waits for theirs to come back.
	Complete func(mesh.ID, []hub.Conn) []presence.Peer
	Seen     time.Duration // how long a session is known after it was last seen
	Now      mesh.Clock
	Page     int                // rows of one page, at most
	Reached  func(config.Bound) // counts pages that ended at Page; from any goroutine
	// Permits reports whether a member lets the caller see it; who does not is shown as somebody who is away.
	Permits func(member mesh.ID, caller *session.Session, what mesh.Caps) bool
}

// Bind registers the handlers.
func (r *Roster) Bind(m *wire.Mux[*session.Session]) {
	wire.Handle(m, protocol.ListPeers, r.List)
	wire.Handle(m, protocol.MemberList, r.Members)
	wire.Handle(m, protocol.ReadMeshInfo, r.Info)
}

// hides reports whether a member does not let the caller see it. Then nothing of it is here for the caller.
func (r *Roster) hides(member mesh.ID, from *session.Session) bool {
	return !r.Permits(member, from, mesh.CapsOf(mesh.CapRead))
}

// present lists who is in the caller's mesh, without those who hide from the caller.
func (r *Roster) present(ctx context.Context, s *session.Session) (seen, all []presence.Peer, err error) {
	conns, err := r.Connections(ctx, s.Mesh)
	if err != nil {
		return nil, nil, err
	}
	all = slices.DeleteFunc(r.Complete(s.Mesh, conns), func(p presence.Peer) bool { return r.hides(p.Member, s) })
	seen = make([]presence.Peer, 0, len(all))
	for i := range all {
		if all[i].VisibleTo(s.Member) {
			seen = append(seen, all[i])
		}
	}
	return seen, all, nil
}

// Here lists the connections of a mesh that the caller sees, oldest first.
func (r *Roster) Here(ctx context.Context, s *session.Session) ([]hub.Conn, error) {
	seen, _, err := r.present(ctx, s)
	conns := make([]hub.Conn, 0, len(seen))
	for i := range seen {
		if seen[i].Lost.IsZero() {
			conns = append(conns, seen[i].Conn)
		}
	}
	return conns, err
}

// List reads the roster, the caller's own row included (wire 7.2). Callers without claudemesh.go/1 get one frame with
// every connection, as they know it; ours get pages. Who does not let the caller see it has no connection here.
func (r *Roster) List(ctx context.Context, s *session.Session, req protocol.PeersRequest) (protocol.PeersAnswer, error) {
	after, err := parsePlace(req.After)
	if err != nil && s.Go {
		return protocol.PeersAnswer{}, err
	}
	seen, all, err := r.present(ctx, s)
	if err != nil {
		return protocol.PeersAnswer{}, err
	}
	if !s.Go {
		rows := make([]protocol.Peer, 0, len(seen))
		for i := range seen {
			rows = append(rows, online(&seen[i]))
		}
		return protocol.PeersAnswer{Peers: rows}, nil
	}
	entries := make([]entry, 0, len(seen))
	for i := range seen {
		entries = append(entries, entry{at: placeOf(&seen[i]), here: &seen[i]})
	}
	if req.IncludeOffline {
		known, err := r.read(ctx, s.Mesh)
		if err != nil {
			return protocol.PeersAnswer{}, err
		}
		known.forgetSeen(func(member mesh.ID) bool { return r.hides(member, s) })
		entries = append(entries, known.offline(all)...)
	}
	return r.cut(entries, after, req.Limit), nil
}

// entry is a row to be made, with its place in the order, which does not change while others come and go.
type entry struct {
	at   place
	here *presence.Peer // nil for somebody without a presence
	gone protocol.Peer
}

// row makes the row of an entry.
func (e *entry) row() protocol.Peer {
	if e.here == nil {
		return e.gone
	}
	p := online(e.here)
	yes := true
	p.MemberName, p.Proved, p.Attestation = e.here.Told.MemberName, e.here.Told.Owned, e.here.Told.Vouch
	p.Online, p.Reconnecting = &yes, !e.here.Lost.IsZero()
	return p
}

// placeOf is the place of a presence. Who waits for a connection counts as online until the lease ends.
func placeOf(p *presence.Peer) place {
	if p.Lost.IsZero() {
		return place{connection, uint64(p.ID)}
	}
	return place{waiting, p.N}
}

// place orders connections before presences without one, sessions and members, each by its number.
type place struct {
	kind byte // of the kinds below
	n    uint64
}

const (
	connection byte = 'c'
	waiting    byte = 'l'
	sessions   byte = 's'
	members    byte = 't'
)

func (p place) String() string { return string(p.kind) + strconv.FormatUint(p.n, 10) }

// after reports whether p stands behind other.
func (p place) after(other place) bool {
	return p.kind > other.kind || p.kind == other.kind && p.n > other.n
}

// parsePlace reads what String writes; empty is before everything.
func parsePlace(s string) (place, error) {
	if s == "" {
		return place{}, nil
	}
	n, err := strconv.ParseUint(s[1:], 10, 64)
	if err != nil || !slices.Contains([]byte{connection, waiting, sessions, members}, s[0]) {
		return place{}, mesh.Errorf(mesh.BadRequest, "after is not a next of this broker")
	}
	return place{s[0], n}, nil
}

// maxPageBytes fits into the smallest read limit that a client can set, with its envelope.
const maxPageBytes = 60 << 10

// cut makes the page of what stands after a place. It has at least one row where there are any.
func (r *Roster) cut(entries []entry, after place, wanted int) protocol.PeersAnswer {
	limit := r.Page
	if wanted > 0 {
		limit = min(limit, wanted)
	}
	var page protocol.PeersAnswer
	size := 0
	for i := range entries {
		if !entries[i].at.after(after) {
			continue
		}
		row := entries[i].row()
		n := len(page.Peers)
		if n == r.Page {
			r.Reached(config.BoundPeersPage)
		}
		if size += room(&row); n == limit || n > 0 && size > maxPageBytes {
			page.Next = entries[i-1].at.String()
			break
		}
		page.Peers = append(page.Peers, row)
	}
	return page
}

// maxGone is how many sessions of one member, each of another name, are listed when they have gone. Whoever is not among
// them is found by its key.
const maxGone = 64

// known is what the store remembers of a mesh.
type known struct {
	members  []store.Member
	sessions []store.Session
}

func (r *Roster) read(ctx context.Context, meshID mesh.ID) (k known, err error) {
	err = r.DB.Read(ctx, func(tx *sqlite.Tx) error {
		if k.members, err = store.ListMembers(tx, meshID); err != nil {
			return err
		}
		k.sessions, err = store.ListLatestSessions(tx, meshID, r.Now().Add(-r.Seen), maxGone)
		return err
	})
	return k, err
}

// forgetSeen drops when members were seen that hide: the time would tell that they were.
func (k known) forgetSeen(hidden func(mesh.ID) bool) {
	gone := map[int64]bool{}
	for i := range k.members {
		if m := &k.members[i]; hidden(m.ID) {
			m.LastSeen, gone[m.N] = time.Time{}, true
		}
	}
	for i := range k.sessions {
		if s := &k.sessions[i]; gone[s.Member] {
			s.LastSeen = time.Time{}
		}
	}
}

// offline makes a row of each session without a connection, and of each member without any.
func (k known) offline(present []presence.Peer) []entry {
	here := make(map[mesh.Key]bool, 2*len(present))
	for i := range present {
		here[present[i].SessionKey], here[present[i].MemberKey] = true, true
	}
	byNumber := make(map[int64]store.Member, len(k.members))
	for _, m := range k.members {
		byNumber[m.N] = m
	}
	var entries []entry
	for _, s := range k.sessions {
		if m := byNumber[s.Member]; !here[s.Key] {
			p := absent(s.Key, m, s.LastSeen)
			p.DisplayName, p.Proved, p.Attestation = s.Name, s.Proved, presence.ParseVouch(s.Vouch)
			entries = append(entries, entry{at: place{sessions, uint64(s.N)}, gone: p})
		}
	}
	for _, m := range k.members {
		if !here[m.Key] {
			entries = append(entries, entry{at: place{members, uint64(m.N)}, gone: absent(m.Key, m, m.LastSeen)})
		}
	}
	return entries
}

// online is the row of a presence, with the fields that both broker generations send.
func online(c *presence.Peer) protocol.Peer {
	p := protocol.Peer{
		Pubkey: c.Key(), MemberPubkey: c.MemberKey, DisplayName: c.Name, Status: c.Status, Groups: c.Groups,
		SessionID: c.SessionID, ConnectedAt: mesh.FormatTime(c.ConnectedAt), CWD: c.Presence.CWD, PeerRole: c.Role,
		Role: c.Presence.Role, Hostname: c.Presence.Hostname, PeerType: c.Presence.PeerType,
		Channel: c.Presence.Channel, Model: c.Presence.Model, Stats: c.Stats, Receipts: c.Receipts,
	}
	if c.Summary != "" {
		p.Summary = &c.Summary
	}
	if c.Hidden {
		p.Visible = new(bool)
	}
	if !reflect.ValueOf(c.Profile).IsZero() {
		p.Profile = &c.Profile
	}
	return p
}

// absent is the row of somebody without a connection.
func absent(key mesh.Key, m store.Member, seen time.Time) protocol.Peer {
	no := false
	return protocol.Peer{
		Pubkey: key, MemberPubkey: m.Key, DisplayName: m.Name, MemberName: m.Name, Status: mesh.Idle,
		PeerRole: mesh.SessionRole, Online: &no, LastSeenAt: mesh.FormatTime(seen),
	}
}
