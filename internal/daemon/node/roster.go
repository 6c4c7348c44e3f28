package node

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/address"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/node/view"
	"github.com/claudemesh/claudemesh/internal/daemon/trust"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Times of reading rosters: a mesh that does not answer is left out after rosterTime (daemon 8.4); names are resolved
// over one that is at most rosterFresh old, so that a burst of sends asks once.
const (
	rosterTime  = 2 * time.Second
	rosterFresh = 2 * time.Second
)

// rosterPage is how many rows one question asks for; maxRoster how many are kept of a mesh.
const (
	rosterPage = 500
	maxRoster  = 20_000
)

// roster is who is in one mesh, and who was met there, as far as the daemon knows.
type roster struct {
	at   *attachment
	pins *trust.Pins

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
	return age >= 0 && age < rosterFresh
}

// lately gives a roster that is a moment old at most. That the broker hangs is known for a moment, too.
func (r *roster) lately(ctx context.Context) ([]protocol.Peer, error) {
	return r.since(r.at.node.opt.Now().Add(-rosterFresh))(ctx)
}

// since gives what was read after a time, and asks only when nothing was.
func (r *roster) since(t time.Time) func(context.Context) ([]protocol.Peer, error) {
	return func(ctx context.Context) ([]protocol.Peer, error) {
		r.mu.Lock()
		last := r.last
		r.mu.Unlock()
		if !last.at.IsZero() && last.at.After(t) {
			return last.peers, last.err
		}
		return r.now(ctx)
	}
}

// now asks the broker who is there, offline peers included where it knows of them, and remembers them.
func (r *roster) now(ctx context.Context) ([]protocol.Peer, error) {
	a := r.at
	timed, cancel := context.WithTimeout(ctx, rosterTime)
	defer cancel()
	if a.link.State() == uplink.Connecting || a.link.State() == uplink.Closed {
		a.settle(timed) // the daemon has just started
	}
	peer := a.link.Peer()
	if peer == nil {
		return nil, mesh.Errorf(mesh.BrokerDown, "not connected")
	}
	peers, err := r.pages(timed, peer)
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err() // who asked has gone, which says nothing of the broker
	}
	got := reading{peers, err, a.node.opt.Now()}
	r.mu.Lock()
	r.last = got
	r.mu.Unlock()
	if err == nil {
		r.remember(ctx, peers, got.at)
	}
	return peers, err
}

// pages asks for one page after the other.
func (r *roster) pages(ctx context.Context, peer *wire.Peer) ([]protocol.Peer, error) {
	req := protocol.PeersRequest{}
	if r.at.link.Has(protocol.CapPeersOffline) {
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
func (r *roster) remember(ctx context.Context, peers []protocol.Peer, now time.Time) {
	a := r.at
	seen := make([]localdb.Peer, 0, len(peers))
	for _, p := range peers {
		if !online(p) || !mesh.IsKey(string(p.MemberPubkey)) {
			continue
		}
		row := localdb.Peer{MeshID: a.mesh.ID, Key: p.Pubkey, MemberKey: p.MemberPubkey, Name: p.DisplayName, MemberName: p.MemberName, LastSeen: now}
		row.Session = p.Pubkey != p.MemberPubkey && p.PeerRole != mesh.ControlPlane && p.Proved // others die with their process
		if p.PeerRole == mesh.ControlPlane {
			row.Key, row.Name = p.MemberPubkey, cmp.Or(p.MemberName, p.DisplayName)
		}
		seen = append(seen, row)
	}
	a.roster.pins.Observe(ctx, peers)
	for i := range seen { // a claim to a name that is another's is not kept for later
		for _, name := range []*string{&seen[i].Name, &seen[i].MemberName} {
			if a.roster.pins.Taken(*name, seen[i].MemberKey) {
				*name = ""
			}
		}
	}
	if err := a.node.opt.DB.SeePeers(ctx, seen); err != nil && ctx.Err() == nil {
		a.node.opt.Log.Warn("peers not remembered", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
	}
	r.mu.Lock()
	r.known = nil // what was read before is out of date
	r.mu.Unlock()
}

// online reports whether a row is a connection; brokers that list only those say nothing.
func online(p protocol.Peer) bool { return p.Online == nil || *p.Online }

// addressBook is what an address is resolved over: every joined mesh, as the caller sees it, read after a time.
func (n *Node) addressBook(sessionID string, since time.Time) []address.Mesh {
	var book []address.Mesh
	for _, at := range n.meshes() {
		m := address.Mesh{
			ID: at.mesh.ID, Slug: at.mesh.Slug, Member: at.mesh.Pubkey(), Roster: at.roster.since(since), Known: at.roster.met(),
			Pins: at.roster.pins.Addresses(),
		}
		if s := at.session(sessionID); s != nil {
			m.Session = s.Pubkey()
		}
		book = append(book, m)
	}
	return book
}

// met lists the peers that were met, as they stood a moment ago.
func (r *roster) met() []address.Known {
	now := r.at.node.opt.Now()
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

func (r *roster) readMet() []address.Known {
	a := r.at
	ctx, cancel := context.WithTimeout(context.Background(), localTime) // a read of our own file
	defer cancel()
	rows, err := a.node.opt.DB.ListPeers(ctx, a.mesh.ID)
	if err != nil {
		a.node.opt.Log.Warn("known peers unreadable", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
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

// orMet gives the roster that read gives, else what was known last.
func (r *roster) orMet(ctx context.Context, read func(context.Context) ([]protocol.Peer, error)) ([]protocol.Peer, localapi.MeshState) {
	a := r.at
	peers, err := read(ctx)
	state := localapi.MeshState{Mesh: a.mesh.Slug, Status: string(a.link.State()), OK: true}
	if err == nil {
		return peers, state
	}
	state.OK = false
	if refusal := barred(a, ""); refusal != nil {
		state.Code, state.Detail = mesh.CodeOf(refusal), refusal.Error()
	}
	if a.link.State() == uplink.Open {
		a.node.opt.Log.Info("roster not read", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
	}
	off := false
	for _, k := range r.met() {
		p := protocol.Peer{Pubkey: cmp.Or(k.Session, k.Member), MemberPubkey: k.Member, MemberName: k.MemberName, DisplayName: k.MemberName, Online: &off, PeerRole: mesh.SessionRole, Groups: []protocol.Group{}}
		if k.Session != "" {
			p.DisplayName = k.Name
		}
		peers = append(peers, p)
	}
	return peers, state
}

// view is a roster as one caller sees it.
func (r *roster) view(all []protocol.Peer, sessionID string, req localapi.PeersRequest) []localapi.Peer {
	v := view.View{Mesh: r.at.mesh.Slug, Own: r.at.mesh.Pubkey(), Proved: r.pins.Shows}
	if s := r.at.session(sessionID); s != nil {
		v.Self = s.Pubkey()
	}
	return v.Rows(all, req)
}
