package broker

import (
	"net/netip"
	"sync"

	"golang.org/x/time/rate"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// What one network address may do on routes that anyone may call: claims and open creation. Codes cannot be guessed
// at any rate; the bound is for the work that a wrong one makes.
const (
	strangerPerSecond = 1
	strangerBurst     = 60     // a class that joins from behind one address
	maxStrangers      = 10_000 // at the bound all are forgotten, and start with a full burst
)

// strangers limits requests by network address.
type strangers struct {
	now mesh.Clock

	mu sync.Mutex
	of map[netip.Prefix]*rate.Limiter
}

func newStrangers(now mesh.Clock) *strangers {
	return &strangers{now: now, of: map[netip.Prefix]*rate.Limiter{}}
}

// admit takes one request of an address into account; rate_limit when it asks too often. An IPv6 host has a whole
// /64 to ask from, so that counts as one.
func (s *strangers) admit(addr netip.Addr) error {
	if !addr.IsValid() {
		return nil // a network without addresses is in memory, and has no strangers
	}
	bits := addr.BitLen()
	if addr.Is6() && !addr.Is4In6() {
		bits = 64
	}
	where, err := addr.Prefix(bits)
	if err != nil {
		return mesh.Errorf(mesh.Internal, "prefix of %s: %w", addr, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.of[where]
	if !ok {
		if len(s.of) >= maxStrangers {
			clear(s.of)
		}
		l = rate.NewLimiter(strangerPerSecond, strangerBurst)
		s.of[where] = l
	}
	if !l.AllowN(s.now(), 1) {
		return mesh.Errorf(mesh.RateLimited, "too many requests from here; try again in a few seconds")
	}
	return nil
}

// seats bounds the connections of the process, of a mesh and of a member (design D3). A connection that takes over from another of
// the same session, or the same nameless client, shares its seat: a network that changes must not lock its users out.
type seats struct {
	limit, perMesh, perMember int

	mu     sync.Mutex
	taken  int
	meshes map[mesh.ID]*meshSeats
}

type meshSeats struct {
	taken   int
	members map[mesh.Key]map[string]int // connections by who sits there
}

func newSeats(set config.Broker) *seats {
	return &seats{
		limit: set.Connections, perMesh: set.MeshConnections, perMember: set.MemberConnections,
		meshes: map[mesh.ID]*meshSeats{},
	}
}

// seat is one connection's place.
type seat struct {
	mesh   mesh.ID
	member mesh.Key
	who    string // session key, else session id
}

// free reports whether take would succeed. Before a hello is proved its keys are only claimed, so nothing is taken.
func (s *seats) free(p seat) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fits(p)
}

// take takes a place; false means that there is none.
func (s *seats) take(p seat) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fits(p) {
		return false
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
	return true
}

// fits looks for a place. The lock is held.
func (s *seats) fits(p seat) bool {
	m := s.meshes[p.mesh]
	if m == nil {
		return s.taken < s.limit
	}
	member := m.members[p.member]
	return member[p.who] > 0 || s.taken < s.limit && m.taken < s.perMesh && len(member) < s.perMember
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
