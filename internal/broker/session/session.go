// Package session is the caller as a feature of the broker sees it: one authenticated connection.
package session

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Session is who sent a frame. It is made by the handshake and does not change; any goroutine may read it.
type Session struct {
	Conn       mesh.ConnID
	Mesh       mesh.ID
	MeshSlug   string
	OwnerKey   mesh.Key // of the mesh
	Member     mesh.ID
	MemberKey  mesh.Key
	SessionKey mesh.Key // empty for a connection without a session of its own
	Name       string   // as shown to others
	Admin      bool
	Go         bool // announced claudemesh.go/1 (design B1)
	Caps       map[string]bool
	PeerRole   mesh.PeerRole
	Hosts      []string // host:port forms of this broker that the caller may have signed: as it dialled, and public
}

// Key is the key that opens a box of this caller: that of its session, else that of its member.
func (s *Session) Key() mesh.Key {
	if s.SessionKey != "" {
		return s.SessionKey
	}
	return s.MemberKey
}

// Owner reports whether the caller's member key is the mesh owner's.
func (s *Session) Owner() bool { return s.MemberKey == s.OwnerKey }
