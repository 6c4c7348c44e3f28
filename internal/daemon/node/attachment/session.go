package attachment

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Line is a session in one mesh, as the registry gave it.
type Line struct {
	Session registry.Session
	registry.Line
}

// SessionLink is the connection of a line.
type SessionLink struct {
	Line
	Link    *uplink.Link
	Seating *Seating
	voice   *Voice
	word    *word
	ending  chan struct{}
}

// end makes the connection say goodbye. Call it once.
func (s *SessionLink) end() { close(s.ending) }

// presence is what a session's connection tells besides its groups: the base name of its folder, nothing of this machine (design C5).
func (l Line) presence() protocol.Presence {
	hash := sha256.Sum256([]byte(l.Pubkey())) // the host's own id stays here (design C6)
	return protocol.Presence{
		DisplayName: l.Session.Name, SessionID: hex.EncodeToString(hash[:16]), CWD: filepath.Base(l.Session.CWD), PeerType: "ai",
		Channel: "claudemesh-session", Role: l.Session.Role,
	}
}

// Speaks reports whether the session's messages leave in its own name. To a broker that knows no connections of sessions
// they leave in its member's.
func (s *SessionLink) Speaks() bool { return s.Link.State() != uplink.Unsupported }
