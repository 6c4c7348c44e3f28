package localdb

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Session is a registered host session, as it survives a restart of the daemon. It has no secrets: the token is
// kept as its SHA-256 (daemon 18.2).
type Session struct {
	ID          string // the host's session id
	PID         int
	StartTime   string // start of the process, as package host reads it: opaque, compared for equality
	CWD         string
	Name        string
	Role        string
	Groups      []protocol.Group
	MessageMode string // push, inbox or off
	HostName    string // claude-code, codex, …
	HostVersion string
	HostMode    string    // permission mode of the host, as last seen
	TokenHash   string    // 64 hex
	Meshes      []mesh.ID // empty: all joined meshes, also later ones
	Registered  time.Time
}

// SaveSession writes s, replacing the session of the same id.
func (d *DB) SaveSession(ctx context.Context, s Session) error { panic("unwritten") }

// ListSessions returns the sessions, oldest registration first.
func (d *DB) ListSessions(ctx context.Context) ([]Session, error) { panic("unwritten") }

// RemoveSession forgets a session. One that is unknown is no error.
func (d *DB) RemoveSession(ctx context.Context, id string) error { panic("unwritten") }
