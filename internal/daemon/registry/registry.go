// Package registry knows the host sessions of this machine: who they are, which token and keys they have, and whether
// their process lives (design C5, C6).
package registry

import (
	"context"
	"log/slog"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Book is the joined meshes and the keys of sessions; *membership.Book is one.
type Book interface {
	List() ([]membership.Mesh, error)
	SessionSecret(id mesh.ID, slug, sessionID string, now time.Time) (seal.SecretKey, error)
}

// Store keeps sessions over restarts; *localdb.DB is one.
type Store interface {
	SaveSession(ctx context.Context, s localdb.Session) error
	ListSessions(ctx context.Context) ([]localdb.Session, error)
	RemoveSession(ctx context.Context, id string) error
}

// Lines are the sessions' connections to brokers; the daemon is one. The registry calls one at a time, from any
// goroutine; calls must not block for the network nor call the registry back.
type Lines interface {
	// Attach opens the connection of a session in a mesh, or tells the one that is open that name, groups or folder of
	// the session changed. The key of a (session, mesh) is always the same.
	Attach(s Session, l Line)
	// Detach closes it for good.
	Detach(s Session, l Line)
}

// Options say what a registry works with. All fields are required.
type Options struct {
	Daemon paths.Daemon
	Book   Book
	Store  Store
	Lines  Lines
	Now    mesh.Clock
	Log    *slog.Logger
}

// Registry is the sessions. Its methods may be called from any goroutine.
type Registry struct{}

// Caller is the process at the other end of a socket.
type Caller struct{ PID, UID int }

// Session is one registered session. It is a copy: changing it changes nothing.
type Session struct {
	ID         string // the host's session id
	Process    host.Process
	CWD        string
	Name       string // unique among the sessions of this machine
	Role       string
	Request    localapi.RegisterRequest // as it came, without the old token
	Lines      []Line                   // by slug
	Registered time.Time
	Prefix     string // first 8 characters of the token's hash, to tell tokens apart
}

// Line is a session in one mesh.
type Line struct {
	MeshID mesh.ID
	Slug   string
	Member mesh.Key // the user's member key there
	Secret seal.SecretKey
}

// Pubkey is the session's key in the mesh.
func (l Line) Pubkey() mesh.Key { panic("registry: in the making") }

// Keys lists the keys whose messages the session may see: its own and its members'.
func (s Session) Keys() []mesh.Key { panic("registry: in the making") }

// Line returns the session in a mesh, and whether it is there.
func (s Session) Line(id mesh.ID) (Line, bool) { panic("registry: in the making") }

// New returns a registry without sessions.
func New(opt Options) *Registry { panic("registry: in the making") }

// Restore takes the sessions of the last run whose process lives still, and forgets the others. Call it once, before
// Run and before callers are let in.
func (r *Registry) Restore(ctx context.Context) error { panic("registry: in the making") }

// Run watches the processes of the sessions until ctx ends: one that exited is forgotten within 5 s.
func (r *Registry) Run(ctx context.Context) error { panic("registry: in the making") }

// Register takes a session in, or replaces the registration of the same session id, and answers when it is on the
// disk. forbidden: the caller does not descend from the process it names, or the process that is registered lives
// and the old token is missing. bad_request, mesh_not_attached, and capacity at 256 sessions.
func (r *Registry) Register(ctx context.Context, req localapi.RegisterRequest, c Caller) (localapi.RegisterAnswer, error) {
	panic("registry: in the making")
}

// Deregister ends the registration of a token and returns it; session_unknown.
func (r *Registry) Deregister(ctx context.Context, token string, c Caller) (Session, error) {
	panic("registry: in the making")
}

// ByToken returns the session of a token; session_unknown when there is none or the caller's process does not descend
// from the session's (design C6).
func (r *Registry) ByToken(token string, c Caller) (Session, error) {
	panic("registry: in the making")
}

// Inside reports whether a process is one of a registered session, or descends from one.
func (r *Registry) Inside(pid int) bool { panic("registry: in the making") }

// Find returns a session by its id.
func (r *Registry) Find(id string) (Session, bool) { panic("registry: in the making") }

// ByKey returns the session that has a session key in a mesh.
func (r *Registry) ByKey(id mesh.ID, key mesh.Key) (Session, bool) {
	panic("registry: in the making")
}

// List returns the sessions, oldest registration first.
func (r *Registry) List() []Session { panic("registry: in the making") }

// Rules are what the host of a session allows now; the strictest when there is no such session.
func (r *Registry) Rules(id string) host.Rules { panic("registry: in the making") }

// Refresh attaches and detaches connections after the joined meshes changed.
func (r *Registry) Refresh(ctx context.Context) error { panic("registry: in the making") }

// Changed returns a channel that is closed when a session comes, changes or goes. Take it before reading.
func (r *Registry) Changed() <-chan struct{} { panic("registry: in the making") }
