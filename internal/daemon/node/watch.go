package node

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/events"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Times of a watch: what nobody announces, such as a status, is seen after watchTime at the latest; what is announced
// after watchPause, in which more may come.
const (
	watchTime  = 2 * time.Second
	watchPause = 50 * time.Millisecond
)

// Peers is the roster of the meshes asked for, as a session or the user (empty session id) sees it: own rows first.
func (p Presence) Peers(ctx context.Context, sessionID string, req localapi.PeersRequest) (localapi.PeersAnswer, error) {
	return peersSince(ctx, p.node, sessionID, req, time.Time{})
}

// Watch follows the roster of the meshes asked for as a session, or the user, sees it: who is there, then every
// change, until ctx ends or tell fails. Tell is given what belongs together, and from time to time nothing.
func (p Presence) Watch(ctx context.Context, sessionID string, req localapi.PeersRequest, tell func([]localapi.PeerChange) error) error {
	n := p.node
	happened, unsubscribe := n.Events.Subscribe()
	defer func() { unsubscribe() }()
	w := watch{node: n, away: req.Offline, peers: map[peerPlace]watched{}, meshes: map[string]localapi.MeshState{}}
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	since := time.Time{}
	for first := true; ; first = false {
		changed, moved := n.Changed(), n.shared.Moved.Wait()
		answer, err := peersSince(ctx, n, sessionID, req, since)
		if err != nil {
			return err
		}
		changes, err := w.compare(answer, first)
		if err == nil {
			err = tell(changes)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			since = n.opt.Now().Add(-watchTime) // others may have asked a moment ago
			continue
		case <-changed:
		case <-moved:
		case _, ok := <-happened:
			if !ok { // too many at once: each means the same here
				happened, unsubscribe = n.Events.Subscribe()
			}
		}
		if !pause(ctx, watchPause) {
			return nil
		}
		drop(happened)
		since = n.opt.Now()
	}
}

// pause waits; false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// drop takes what has gathered.
func drop(gathered <-chan events.Event) {
	for {
		select {
		case _, ok := <-gathered:
			if !ok {
				return
			}
		default:
			return
		}
	}
}

// peerPlace is a row of a roster, and stays it while its peer comes and goes.
type peerPlace struct {
	mesh string
	key  mesh.Key
	role mesh.PeerRole
}

// watched is a row as it was told.
type watched struct {
	peer localapi.Peer
	text []byte
}

// watch is what a watcher has been told.
type watch struct {
	node   *Node
	away   bool // who is not connected is told, too
	peers  map[peerPlace]watched
	meshes map[string]localapi.MeshState
}

// compare finds the changes since the last call.
func (w *watch) compare(answer localapi.PeersAnswer, first bool) ([]localapi.PeerChange, error) {
	var changes []localapi.PeerChange
	ts := mesh.FormatTime(w.node.opt.Now())
	add := func(kind, slug string, p *localapi.Peer, s *localapi.MeshState) {
		changes = append(changes, localapi.PeerChange{TS: ts, Change: kind, Mesh: slug, Peer: p, State: s})
	}
	for _, m := range answer.Meshes {
		if was, ok := w.meshes[m.Mesh]; !ok || was != m {
			w.meshes[m.Mesh] = m
			add(localapi.MeshChanged, m.Mesh, nil, &m)
		}
	}
	seen := map[peerPlace]bool{}
	for _, p := range answer.Peers {
		at := peerPlace{p.Mesh, p.Pubkey, p.PeerRole}
		if _, told := w.peers[at]; !told && !first && !w.away && p.Online != nil && !*p.Online {
			continue // who was known last stands in for a roster that cannot be read, and did not come now
		}
		text, err := wire.Encode(p)
		if err != nil {
			return nil, err
		}
		seen[at] = true
		was, ok := w.peers[at]
		w.peers[at] = watched{p, text}
		switch {
		case first:
			add(localapi.PeerHere, p.Mesh, &p, nil)
		case !ok:
			add(localapi.PeerCame, p.Mesh, &p, nil)
		case !bytes.Equal(was.text, text):
			add(localapi.PeerChanged, p.Mesh, &p, nil)
		}
	}
	for _, at := range w.gone(seen) {
		p := w.peers[at].peer
		delete(w.peers, at)
		add(localapi.PeerGone, at.mesh, &p, nil)
	}
	if first {
		add(localapi.WatchReady, "", nil, nil)
	}
	return changes, nil
}

// gone lists who is not seen any more, in an order that does not depend on chance.
func (w *watch) gone(seen map[peerPlace]bool) []peerPlace {
	var all []peerPlace
	for at := range w.peers {
		if !seen[at] {
			all = append(all, at)
		}
	}
	slices.SortFunc(all, func(x, y peerPlace) int { return cmp.Or(cmp.Compare(x.mesh, y.mesh), cmp.Compare(x.key, y.key)) })
	return all
}

// peersSince is Peers with rosters that were read after a time.
func peersSince(ctx context.Context, n *Node, sessionID string, req localapi.PeersRequest, since time.Time) (localapi.PeersAnswer, error) {
	meshes, err := narrow(n, req.Mesh)
	if err != nil {
		return localapi.PeersAnswer{}, err
	}
	rosters := make([][]protocol.Peer, len(meshes))
	states := make([]localapi.MeshState, len(meshes))
	var wait sync.WaitGroup
	for i, at := range meshes {
		read := at.Roster.Now
		if !since.IsZero() {
			read = at.Roster.Since(since)
		}
		wait.Go(func() { rosters[i], states[i] = at.Roster.OrMet(ctx, read) })
	}
	wait.Wait()
	answer := localapi.PeersAnswer{Peers: []localapi.Peer{}, Meshes: states}
	for i, at := range meshes {
		asked := req
		asked.Offline = req.Offline || !states[i].OK // what was known last is all there is
		answer.Peers = append(answer.Peers, at.Roster.View(rosters[i], sessionID, asked)...)
	}
	return answer, nil
}
