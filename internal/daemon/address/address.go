// Package address finds out whom a typed address means: a key in one mesh.
package address

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Mesh is one joined mesh with what can be learned of its peers.
type Mesh struct {
	ID      mesh.ID
	Slug    string
	Member  mesh.Key // own member key
	Session mesh.Key // the caller's session key; empty for a caller outside of a session
	Roster  func(context.Context) ([]protocol.Peer, error)
	Known   []Known // peers that were met, for those who are offline
}

// Known is a peer that was met, connected or not.
type Known struct {
	Member     mesh.Key
	MemberName string
	Session    mesh.Key // empty: the member itself
	Name       string   // of the session
	Proved     bool     // the session proved its key, which then outlives its connection
}

// Request is an address as it was typed.
type Request struct {
	To     string
	Mesh   string // slug that narrows; may be empty
	ToSelf bool   // own member and own session may be meant
	Meshes []Mesh // every joined mesh
}

// Result is whom it means.
type Result struct {
	MeshID       mesh.ID
	Mesh         string // slug
	Kind         mesh.TargetKind
	TargetSpec   string   // what goes to the broker: a key, *, @group or #topic
	RecipientKey mesh.Key // key to seal to; empty for the kinds that the broker can read
	Name         string   // of the peer; empty when unknown
	Online       *bool    // of one peer; nil when nobody knows
}

// Resolve asks the rosters of the meshes in question at once, each for at most 2 s, and matches (daemon 12, design C7).
// A roster that does not answer leaves its known peers. Errors: bad_request, nothing_joined, mesh_not_attached,
// mesh_required, target_not_found, ambiguous_target, self_send.
func Resolve(ctx context.Context, req Request) (Result, error) { panic("address: in the making") }
