// Package grant lets a member say what others may do to it: who may write, broadcast, see it (wire 8.1).
package grant

import (
	"context"
	"slices"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Grants answers for the entries of the caller's own member. Its fields are set once; it may be used from any goroutine.
type Grants struct {
	// Update changes the entries of the caller's member and counts them; List reads them.
	Update func(ctx context.Context, s *session.Session, set mesh.Grants, reset []mesh.Key) (int, error)
	List   func(member mesh.ID) mesh.Grants
}

// Bind registers the handlers.
func (g *Grants) Bind(m *wire.Mux[*session.Session]) {
	wire.Handle(m, protocol.GrantsUpdate, g.update)
	wire.Handle(m, protocol.GrantsList, g.list)
}

func (g *Grants) update(ctx context.Context, s *session.Session, req protocol.GrantsUpdateRequest) (protocol.GrantsUpdateAnswer, error) {
	set, reset, err := parse(req)
	if err != nil {
		return protocol.GrantsUpdateAnswer{}, err
	}
	n, err := g.Update(ctx, s, set, reset)
	return protocol.GrantsUpdateAnswer{Entries: n}, err
}

// parse reads a change. A key that is set and reset at once contradicts itself.
func parse(req protocol.GrantsUpdateRequest) (set mesh.Grants, reset []mesh.Key, err error) {
	set = mesh.Grants{}
	for key, list := range req.Grants {
		if list == nil {
			reset = append(reset, key)
			continue
		}
		if set[key], err = mesh.ParseCaps(list); err != nil {
			return nil, nil, err
		}
		if !mesh.IsKey(string(key)) {
			return nil, nil, errKey()
		}
	}
	for _, key := range req.Reset {
		if _, both := req.Grants[key]; both {
			return nil, nil, mesh.Errorf(mesh.BadRequest, "%s is in grants and in reset", key.Short())
		}
		reset = append(reset, key)
	}
	if slices.ContainsFunc(reset, func(key mesh.Key) bool { return !mesh.IsKey(string(key)) }) {
		return nil, nil, errKey()
	}
	return set, reset, nil
}

func errKey() error {
	return mesh.Errorf(mesh.BadRequest, "an entry is for a key of 64 lower-case hex")
}

// pageEntries keeps the frame of a page below the smallest read limit that a client can set.
const pageEntries = 300

func (g *Grants) list(_ context.Context, s *session.Session, req protocol.GrantsListRequest) (protocol.GrantsListAnswer, error) {
	all := g.List(s.Member)
	var keys []mesh.Key
	for key := range all {
		if key > req.After {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	answer := protocol.GrantsListAnswer{Grants: map[mesh.Key][]mesh.Cap{}}
	for i, key := range keys {
		if i == pageEntries {
			answer.Next = keys[i-1]
			break
		}
		answer.Grants[key] = all[key].List()
	}
	return answer, nil
}
