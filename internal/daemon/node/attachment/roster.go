package attachment

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/address"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/trust"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Times of reading rosters: a mesh that does not answer is left out after rosterTime (daemon 8.4); names are resolved
// over one that is at most Fresh old, so that a burst of sends asks once.
const (
	rosterTime = 2 * time.Second
	Fresh      = 2 * time.Second
)

// rosterPage is how many rows one question asks for; maxRoster how many are kept of a mesh.
const (
	rosterPage = 500
	maxRoster  = 20_000
)

// Roster is who is in one mesh, and who was met there, as far as the daemon knows.
type Roster struct {
	at   *Attachment
	Pins *trust.Pins

	mu      sync.Mutex
	last    reading
	known   []address.Known
	knownAt time.Time
}

// reading is what came of asking the broker: the peers, or why it did not answer.
type reading struct {
	peers []protocol.Peer
	err   error
	at    time.Time // zero before the first
}

// fresh reports whether something read at a time may still be used.
func fresh(at, now time.Time) bool {
	age := now.Sub(at)
	return age >= 0 && age < Fresh
}

// Lately gives a roster that is a moment old at most. That the broker hangs is known for a moment, too.
func (r *Roster) Lately(ctx context.Context) ([]protocol.Peer, error) {
	return r.Since(r.at.opt.Now().Add(-Fresh))(ctx)
}

// Last gives the roster as it was read last, however long ago, and asks where there is none.
func (r *Roster) Last(ctx context.Context) ([]protocol.Peer, error) { return r.Since(time.Time{})(ctx) }

// Since gives what was read after a time, and asks only when nothing was.
func (r *Roster) Since(t time.Time) func(context.Context) ([]protocol.Peer, error) {
	return func(ctx context.Context) ([]protocol.Peer, error) {
		r.mu.Lock()
		last := r.last
		r.mu.Unlock()
		if !last.at.IsZero() && last.at.After(t) {
			return last.peers, last.err
		}
		return r.Now(ctx)
	}
}

// Now asks the broker who is there, offline peers included where it knows of them, and remembers them.
func (r *Roster) Now(ctx context.Context) ([]protocol.Peer, error) {
	a := r.at
	timed, cancel := context.WithTimeout(ctx, rosterTime)
	defer cancel()
	if a.Link.State() == uplink.Connecting || a.Link.State() == uplink.Closed {
		Settle(timed, a.Link) // the daemon has just started
	}
	peer := a.Link.Peer()
	if peer == nil {
		return nil, mesh.Errorf(mesh.BrokerDown, "not connected")
	}
	peers, err := r.pages(timed, peer)
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err() // who asked has gone, which says nothing of the broker
	}
	got := reading{peers, err, a.opt.Now()}
	r.mu.Lock()
	r.last = got
	r.mu.Unlock()
	if err == nil {
		r.remember(ctx, peers, got.at)
	}
	return peers, err
}

// pages asks for one page after the other.
func (r *Roster) pages(ctx context.Context, peer *wire.Peer) ([]protocol.Peer, error) {
	req := protocol.PeersRequest{}
	if r.at.Link.Has(protocol.CapPeersOffline) {
		req.IncludeOffline, req.Limit = true, rosterPage
	}
	peers := []protocol.Peer{}
	for {
		page, err := protocol.ListPeers.Do(ctx, peer, req)
		if err != nil {
			return nil, err
		}
		for i := range page.Peers {
			page.Peers[i].PeerRole = address.Role(page.Peers[i])
		}
		peers = append(peers, page.Peers...)
		if page.Next == "" || len(peers) >= maxRoster {
			return peers, nil
		}
		req.After = page.Next
	}
}

// remember keeps the names of who was seen, for when they are offline.
func (r *Roster) remember(ctx context.Context, peers []protocol.Peer, now time.Time) {
	a := r.at
	seen := make([]localdb.Peer, 0, len(peers))
	for _, p := range peers {
		if !online(p) || !mesh.IsKey(string(p.MemberPubkey)) {
			continue
		}
		row := localdb.Peer{MeshID: a.Mesh.ID, Key: p.Pubkey, MemberKey: p.MemberPubkey, Name: p.DisplayName, MemberName: p.MemberName, LastSeen: now}
		row.Session = p.Pubkey != p.MemberPubkey && p.PeerRole != mesh.ControlPlane && p.Proved // others die with their process
		if p.PeerRole == mesh.ControlPlane {
			row.Key, row.Name = p.MemberPubkey, cmp.Or(p.MemberName, p.DisplayName)
		}
		seen = append(seen, row)
	}
	a.Roster.Pins.Observe(ctx, peers)
	for i := range seen { // a claim to a name that is another's is not kept for later
		for _, name := range []*string{&seen[i].Name, &seen[i].MemberName} {
			if a.Roster.Pins.Taken(*name, seen[i].MemberKey) {
				*name = ""
			}
		}
	}
	if err := a.opt.DB.SeePeers(ctx, seen); err != nil && ctx.Err() == nil {
		a.opt.Log.Warn("peers not remembered", logkey.Mesh, a.Mesh.Slug, logkey.Err, err)
	}
	r.mu.Lock()
	r.known = nil // what was read before is out of date
	r.mu.Unlock()
}

// online reports whether a row is a connection; brokers that list only those say nothing.
func online(p protocol.Peer) bool { return p.Online == nil || *p.Online }

// Address is this mesh for resolving addresses, as a session, or the user, sees it; its roster is read after a time.
func (a *Attachment) Address(sessionID string, since time.Time) address.Mesh {
	m := address.Mesh{
		ID: a.Mesh.ID, Slug: a.Mesh.Slug, Member: a.Mesh.Pubkey(), Roster: a.Roster.Since(since), Known: a.Roster.Met(),
		Pins: a.Roster.Pins.Addresses(),
	}
	if s := a.Sessions.Find(sessionID); s != nil {
		m.Session = s.Pubkey()
	}
	return m
}

// Met lists the peers that were met, as they stood a moment ago.
func (r *Roster) Met() []address.Known {
	now := r.at.opt.Now()
	r.mu.Lock()
	known, at := r.known, r.knownAt
	r.mu.Unlock()
	if known != nil && fresh(at, now) {
		return known
	}
	known = r.readMet()
	r.mu.Lock()
	r.known, r.knownAt = known, now
	r.mu.Unlock()
	return known
}

func (r *Roster) readMet() []address.Known {
	a := r.at
	ctx, cancel := context.WithTimeout(context.Background(), localTime) // a read of our own file
	defer cancel()
	rows, err := localdb.ListNames(ctx, a.opt.DB, a.Mesh.ID)
	if err != nil {
		a.opt.Log.Warn("known peers unreadable", logkey.Mesh, a.Mesh.Slug, logkey.Err, err)
		return nil
	}
	all := make([]address.Known, 0, len(rows))
	for _, r := range rows {
		k := address.Known{Member: r.MemberKey, MemberName: r.MemberName}
		if r.Session {
			k.Session, k.Name, k.Proved = r.Key, r.Name, true
		}
		all = append(all, k)
	}
	return all
}

// OrMet gives the roster that read gives, else what was known last.
func (r *Roster) OrMet(ctx context.Context, read func(context.Context) ([]protocol.Peer, error)) ([]protocol.Peer, localapi.MeshState) {
	a := r.at
	peers, err := read(ctx)
	link := a.Link.State()
	state := localapi.MeshState{Mesh: a.Mesh.Slug, Status: string(link), OK: err == nil && link == uplink.Open}
	if state.OK {
		return peers, state
	}
	peers = nil // what was read before the connection ended is not true any more
	if refusal := a.MaySend(""); refusal != nil {
		state.Code, state.Detail = mesh.CodeOf(refusal), refusal.Error()
	}
	if link == uplink.Open {
		a.opt.Log.Info("roster not read", logkey.Mesh, a.Mesh.Slug, logkey.Err, err)
	}
	off := false
	for _, k := range r.Met() {
		p := protocol.Peer{Pubkey: cmp.Or(k.Session, k.Member), MemberPubkey: k.Member, MemberName: k.MemberName, DisplayName: k.MemberName, Online: &off, PeerRole: mesh.SessionRole, Groups: []protocol.Group{}}
		if k.Session != "" {
			p.DisplayName = k.Name
		}
		peers = append(peers, p)
	}
	return peers, state
}

// View is a roster as one caller sees it.
func (r *Roster) View(all []protocol.Peer, sessionID string, req localapi.PeersRequest) []localapi.Peer {
	v := viewer{Mesh: r.at.Mesh.Slug, Own: r.at.Mesh.Pubkey(), Proved: r.Pins.Shows, Grants: r.at.Order.Entries()}
	if s := r.at.Sessions.Find(sessionID); s != nil {
		v.Self = s.Pubkey()
	}
	return v.Rows(all, req)
}
