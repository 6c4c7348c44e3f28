package broker

import (
	"sync"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// seats bounds the connections of the process, of a mesh and of a member (design D3). A connection that takes over from another of
// the same session, or the same nameless client, shares its seat: a network that changes must not lock its users out.
type seats struct {
	limit, perMesh, perMember int
	reached                   func(config.Bound)

	mu     sync.Mutex
	taken  int
	meshes map[mesh.ID]*meshSeats
}

type meshSeats struct {
	taken   int
	members map[mesh.Key]map[string]int // connections by who sits there
}

func newSeats(set config.Broker, reached func(config.Bound)) *seats {
	return &seats{
		limit: set.Connections, perMesh: set.MeshConnections, perMember: set.MemberConnections,
		reached: reached, meshes: map[mesh.ID]*meshSeats{},
	}
}

// seat is one connection's place.
type seat struct {
	mesh   mesh.ID
	member mesh.Key
	who    string // session key, else session id
}

// free fails as take would. Before a hello is proved its keys are only claimed, so nothing is taken.
func (s *seats) free(p seat) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fits(p)
}

// take takes a place, or fails with capacity.
func (s *seats) take(p seat) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fits(p); err != nil {
		return err
	}
	m := s.meshes[p.mesh]
	if m == nil {
		m = &meshSeats{members: map[mesh.Key]map[string]int{}}
		s.meshes[p.mesh] = m
	}
	if m.members[p.member] == nil {
		m.members[p.member] = map[string]int{}
	}
	if m.members[p.member][p.who]++; m.members[p.member][p.who] == 1 {
		m.taken++
		s.taken++
	}
	return nil
}

// fits looks for a place. The lock is held.
func (s *seats) fits(p seat) error {
	m := s.meshes[p.mesh]
	if m == nil {
		m = &meshSeats{}
	}
	member := m.members[p.member]
	switch {
	case member[p.who] > 0: // shared
		return nil
	case s.taken >= s.limit:
		return s.refuse(config.BoundConnections)
	case m.taken >= s.perMesh:
		return s.refuse(config.BoundMeshConnections)
	case len(member) >= s.perMember:
		return s.refuse(config.BoundMemberConnections)
	}
	return nil
}

// refuse says the same at each bound: how full a mesh is, is its members' business.
func (s *seats) refuse(bound config.Bound) error {
	s.reached(bound)
	return mesh.Errorf(mesh.Capacity, "there is no room for another connection here")
}

// leave gives a place back.
func (s *seats) leave(p seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.meshes[p.mesh]
	member := m.members[p.member]
	if member[p.who]--; member[p.who] > 0 {
		return
	}
	delete(member, p.who)
	if len(member) == 0 {
		delete(m.members, p.member)
	}
	s.taken--
	if m.taken--; m.taken == 0 {
		delete(s.meshes, p.mesh)
	}
}
