// Package registry knows the host sessions of this machine: who they are, which token and keys they have, and whether
// their process lives (design C5, C6).
package registry

import (
	"log/slog"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Lines are the sessions' connections to brokers; the daemon is one. The registry calls one at a time, from any
// goroutine. Calls must not block for the network; they may read the registry, but not change it.
type Lines interface {
	// Attach opens the connection of a session in a mesh, or tells the one that is open that name, groups or folder of
	// the session may have changed. The key of a (session, mesh) is always the same.
	Attach(s Session, l Line)
	// Detach closes it for good.
	Detach(s Session, l Line)
}

// Options say what a registry works with. All fields are required.
type Options struct {
	Daemon paths.Daemon
	Book   *membership.Book
	DB     *localdb.DB
	Lines  Lines
	Now    mesh.Clock
	Log    *slog.Logger
}

// Registry is the sessions. Its methods may be called from any goroutine.
type Registry struct {
	opt     Options
	turn    turn // with whoever changes sessions
	table   *table
	watched *watchlist

	launches launches
}

// Session is one registered session. It is a copy: changing it changes nothing.
type Session struct {
	ID          string // the host's session id
	Process     host.Process
	CWD         string
	Name        string // unique among the sessions of this machine
	Role        string
	Groups      []protocol.Group
	MessageMode string // push, inbox or off
	Host        localapi.Host
	Lines       []Line // by slug
	Registered  time.Time
	Prefix      string // first 8 characters of the token's hash, to tell registrations apart
}

// Line is a session in one mesh.
type Line struct {
	MeshID mesh.ID
	Slug   string
	Member mesh.Key // the user's member key there
	Secret seal.SecretKey
}

// Pubkey is the session's key in the mesh.
func (l Line) Pubkey() mesh.Key { return mesh.Key(l.Secret.Public().String()) }

// Keys lists the keys whose messages the session may see: its own and its members'.
func (s Session) Keys() []mesh.Key {
	keys := make([]mesh.Key, 0, 2*len(s.Lines))
	for _, l := range s.Lines {
		keys = append(keys, l.Pubkey(), l.Member)
	}
	return keys
}

// Line returns the session in a mesh, and whether it is there.
func (s Session) Line(id mesh.ID) (Line, bool) {
	i := slices.IndexFunc(s.Lines, func(l Line) bool { return l.MeshID == id })
	if i < 0 {
		return Line{}, false
	}
	return s.Lines[i], true
}

// New returns a registry without sessions.
func New(opt Options) *Registry {
	return &Registry{opt: opt, turn: newTurn(), table: newTable(), watched: newWatchlist()}
}

// Find returns a session by its id.
func (r *Registry) Find(id string) (Session, bool) {
	e := r.table.find(id)
	if e == nil {
		return Session{}, false
	}
	return e.Session, true
}

// List returns the sessions, oldest registration first.
func (r *Registry) List() []Session {
	all := r.table.list()
	list := make([]Session, len(all))
	for i, e := range all {
		list[i] = e.Session
	}
	return list
}

// ByKey returns the session that has a session key in a mesh.
func (r *Registry) ByKey(id mesh.ID, key mesh.Key) (Session, bool) {
	for _, e := range r.table.list() {
		if l, ok := e.Line(id); ok && l.Pubkey() == key {
			return e.Session, true
		}
	}
	return Session{}, false
}

// Rules are what the host of a session allows now, its mode as the latest hook said it (design E3); the strictest when there is no such session.
func (r *Registry) Rules(id string) host.Rules {
	e := r.table.find(id)
	if e == nil {
		return host.Strictest()
	}
	rules := e.rules.Rules()
	if e.heard != "" {
		rules.Mode = e.heard
	}
	return rules
}

// Changed returns a channel that is closed when a session comes, changes or goes. Take it before reading.
func (r *Registry) Changed() <-chan struct{} { return r.table.next() }
