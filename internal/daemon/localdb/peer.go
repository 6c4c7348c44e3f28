package localdb

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Peer is a member, or a session of one, that was seen in a roster or sent something: so that its name still means
// its key when it is offline.
type Peer struct {
	MeshID     mesh.ID
	Key        mesh.Key // session key of a session, else member key
	MemberKey  mesh.Key
	Name       string // display name
	MemberName string
	Session    bool
	FirstSeen  time.Time // set by the first SeePeers
	LastSeen   time.Time
}

// SeePeers writes who was seen at the time of LastSeen of each, in one transaction. Empty names do not replace known ones. A mesh
// keeps at most 10,000 peers; beyond that the sessions that were not seen for longest are forgotten first.
func (d *DB) SeePeers(ctx context.Context, peers []Peer) error { panic("unwritten") }

// FindPeer returns the peer of a key, and whether it is known.
func (d *DB) FindPeer(ctx context.Context, id mesh.ID, key mesh.Key) (Peer, bool, error) {
	panic("unwritten")
}

// ListPeers returns the known peers of a mesh, last seen first.
func (d *DB) ListPeers(ctx context.Context, id mesh.ID) ([]Peer, error) { panic("unwritten") }

// PrunePeers forgets sessions that were not seen for 30 days, and says how many.
func (d *DB) PrunePeers(ctx context.Context, now time.Time) (int, error) { panic("unwritten") }
