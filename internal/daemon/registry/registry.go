// Package registry knows the host sessions of this machine: who they are, which token and keys they have, and whether
// their process lives (design C5, C6).
package registry

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
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
	opt  Options
	turn chan struct{} // holds one token, which is with whoever changes sessions

	mu       sync.Mutex // guards what follows; never held over I/O
	sessions map[string]*entry
	changed  chan struct{}
	watched  map[host.Process]bool // processes whose end is waited for, or will be
	pending  []host.Process        // of these, those that Run has not taken up yet
	wake     chan struct{}         // tells Run of them
}

// entry is a session with what only the registry needs of it. It is never changed once it is in the map.
type entry struct {
	Session
	tokenHash string
	only      []mesh.ID // meshes it is limited to; none: all
	rules     *host.Reader
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
	r := &Registry{
		opt: opt, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), changed: make(chan struct{}),
		sessions: map[string]*entry{}, watched: map[host.Process]bool{},
	}
	r.turn <- struct{}{}
	return r
}

// Find returns a session by its id.
func (r *Registry) Find(id string) (Session, bool) {
	e := r.entry(id)
	if e == nil {
		return Session{}, false
	}
	return e.Session, true
}

func (r *Registry) entry(id string) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[id]
}

// entries returns all of them, oldest registration first.
func (r *Registry) entries() []*entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*entry, 0, len(r.sessions))
	for _, e := range r.sessions {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int {
		if c := a.Registered.Compare(b.Registered); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

// List returns the sessions, oldest registration first.
func (r *Registry) List() []Session {
	all := r.entries()
	list := make([]Session, len(all))
	for i, e := range all {
		list[i] = e.Session
	}
	return list
}

// ByKey returns the session that has a session key in a mesh.
func (r *Registry) ByKey(id mesh.ID, key mesh.Key) (Session, bool) {
	for _, e := range r.entries() {
		if l, ok := e.Line(id); ok && l.Pubkey() == key {
			return e.Session, true
		}
	}
	return Session{}, false
}

// Rules are what the host of a session allows now; the strictest when there is no such session.
func (r *Registry) Rules(id string) host.Rules {
	if e := r.entry(id); e != nil {
		return e.rules.Rules()
	}
	return host.Strictest()
}

// Changed returns a channel that is closed when a session comes, changes or goes. Take it before reading.
func (r *Registry) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// change replaces or, for a nil entry, removes a session, and tells of it.
func (r *Registry) change(id string, e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e == nil {
		delete(r.sessions, id)
	} else {
		r.sessions[id] = e
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// take waits for the turn to change sessions. The caller gives it back with release.
func (r *Registry) take(ctx context.Context) error {
	select {
	case <-r.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Registry) release() { r.turn <- struct{}{} }
