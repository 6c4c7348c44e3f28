// Package address finds out whom a typed address means: a key in one mesh.
package address

import (
	"context"
	"strings"
	"sync"
	"time"

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
	Pins    []Pin   // keys that hold their names
}

// Pin is a member's key that holds a name: another key under it is a conflict (design C7).
type Pin struct {
	Member   mesh.Key
	Name     string // empty: it holds none
	Rejected bool   // the human will have nothing to do with it
	Replaced bool   // the human accepted another key under its name
}

// holds reports whether the pin counts as its name's.
func (p Pin) holds() bool { return p.Name != "" && !p.Rejected && !p.Replaced }

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
	Kind         protocol.TargetKind
	TargetSpec   string   // what goes to the broker: a key, *, @group or #topic
	RecipientKey mesh.Key // key to seal to; empty for the kinds that the broker can read
	Member       mesh.Key // whose key that is said to be; empty when unknown
	Exact        bool     // the whole key was typed: nobody else's word is in it
	Name         string   // of the peer; empty when unknown
	Online       *bool    // of one peer; nil when nobody knows
}

// rosterTimeout bounds each roster; callers give up at 3 s (daemon 8.4).
const rosterTimeout = 2 * time.Second

// Resolve asks the rosters of the meshes in question at once, each for at most 2 s, and matches (daemon 12, design C7).
// Of a mesh whose roster does not answer its known peers are left. Errors: bad_request and bad_name for what is no
// address, nothing_joined, mesh_not_attached, mesh_required, target_not_found, ambiguous_target, self_send, and where a
// pin stands against what the roster says name_conflict, key_changed and peer_rejected.
func Resolve(ctx context.Context, req Request) (Result, error) {
	target, err := mesh.ParseTarget(req.To)
	if err != nil {
		return Result{}, err
	}
	meshes, err := narrow(req)
	if err != nil {
		return Result{}, err
	}
	if !target.Direct() {
		return many(target, meshes)
	}
	views := look(ctx, meshes)
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	return match(target, views, req.ToSelf)
}

// narrow gives the meshes in which the address may lie.
func narrow(req Request) ([]Mesh, error) {
	if len(req.Meshes) == 0 {
		return nil, mesh.Errorf(mesh.NothingJoined, "no mesh is joined")
	}
	if req.Mesh == "" {
		return req.Meshes, nil
	}
	for _, m := range req.Meshes {
		if m.Slug == req.Mesh {
			return []Mesh{m}, nil
		}
	}
	return nil, mesh.Errorf(mesh.MeshNotAttached, "no mesh %q is joined here", req.Mesh).With(mesh.Details{Attached: slugs(req.Meshes)})
}

func slugs(meshes []Mesh) []string {
	names := make([]string, 0, len(meshes))
	for _, m := range meshes {
		names = append(names, m.Slug)
	}
	return names
}

func meshRequired(meshes []Mesh) error {
	return mesh.Errorf(mesh.MeshRequired, "several meshes are joined: say which one is meant").With(mesh.Details{Attached: slugs(meshes)})
}

// many resolves what means any number of peers; it needs nothing but the mesh.
func many(t mesh.Target, meshes []Mesh) (Result, error) {
	r := Result{Kind: protocol.KindAll, TargetSpec: t.Text}
	switch t.Kind {
	case mesh.ToGroup:
		group, err := mesh.ParseGroup(t.Text)
		if err != nil {
			return Result{}, err
		}
		r.Kind, r.TargetSpec = protocol.KindGroup, "@"+group
		if group == "all" {
			r.Kind = protocol.KindAll
		}
	case mesh.ToTopic:
		if !isTopicID(t.Text[1:]) {
			return Result{}, mesh.Errorf(mesh.TargetNotFound, "no topic %s: topics are addressed by their id", t.Text)
		}
		r.Kind = protocol.KindTopic
	case mesh.ToEveryone, mesh.ToKey, mesh.ToPrefix, mesh.ToName:
	}
	if len(meshes) > 1 {
		return Result{}, meshRequired(meshes)
	}
	r.MeshID, r.Mesh = meshes[0].ID, meshes[0].Slug
	return r, nil
}

// minTopicID tells ids from names (daemon 12).
const minTopicID = 20

func isTopicID(s string) bool {
	return len(s) >= minTopicID && strings.Trim(strings.ToLower(s), "0123456789abcdefghijklmnopqrstuvwxyz_-") == ""
}

// view is a mesh with its roster as it was answered.
type view struct {
	Mesh
	rows     []protocol.Peer
	answered bool
}

// look asks all rosters at once.
func look(ctx context.Context, meshes []Mesh) []view {
	views := make([]view, len(meshes))
	var wg sync.WaitGroup
	for i, m := range meshes {
		views[i].Mesh = m
		wg.Go(func() {
			timed, cancel := context.WithTimeout(ctx, rosterTimeout)
			defer cancel()
			rows, err := m.Roster(timed)
			views[i].rows, views[i].answered = rows, err == nil // the reason is in the mesh's own status
		})
	}
	wg.Wait()
	return views
}
