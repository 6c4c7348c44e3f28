// Package trust knows the keys that this user has met in a mesh: under which name each was pinned, which sessions it
// vouched for, what it has proved, and what the human decided about it (design C7, C8). What the broker says is taken
// for true once, at the first meeting; after that it has to fit.
package trust

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/address"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Options say whose pins these are. All fields are required.
type Options struct {
	DB     *localdb.DB
	MeshID mesh.ID
	Now    mesh.Clock
	Log    *slog.Logger
}

// The bounds of one mesh. A broker may invent any number of members and sessions: what is beyond the bound is not pinned,
// and what is pinned is never given up for it.
const (
	maxPins     = 10_000
	maxSessions = 20_000
)

// seenEvery is how old the last sighting that is written down may be.
const seenEvery = time.Hour

// Pins are the keys of one mesh. The methods may be called from any goroutine; what they learn is written to the
// database before they return.
type Pins struct {
	opt   Options
	limit int           // maxPins, or less in a test
	turn  chan struct{} // holds a token while something is written
	done  *checked

	spoken atomic.Int64 // see Spoken

	mu       sync.Mutex // guards what follows
	pins     map[mesh.Key]localdb.Pin
	sessions map[mesh.Key]localdb.PinnedSession
	names    map[string][]mesh.Key // of pins that hold their name, by mesh.Fold; nil when it is to be made anew
	current  map[mesh.Key]string   // the members of the last roster, and how it called them; nil before the first
	dirty    dirt

	addresses []address.Pin // see Addresses; nil when they are to be made anew
}

// dirt is what memory knows better than the disk.
type dirt struct{ pins, sessions map[mesh.Key]bool }

func newDirt() dirt { return dirt{map[mesh.Key]bool{}, map[mesh.Key]bool{}} }

// Open reads the pins of a mesh.
func Open(ctx context.Context, opt Options) (*Pins, error) {
	pins, sessions, err := opt.DB.ListPins(ctx, opt.MeshID)
	if err != nil {
		return nil, err
	}
	p := &Pins{
		opt: opt, limit: maxPins, turn: make(chan struct{}, 1), done: newChecked(), pins: map[mesh.Key]localdb.Pin{},
		sessions: map[mesh.Key]localdb.PinnedSession{}, dirty: newDirt(),
	}
	spoken, err := opt.DB.Handshake(ctx, opt.MeshID)
	if err != nil {
		return nil, err
	}
	p.spoken.Store(int64(spoken))
	for _, pin := range pins {
		p.pins[pin.Member] = pin
	}
	for _, s := range sessions {
		p.sessions[s.Session] = s
	}
	return p, nil
}

// Standing is what is known of a member.
type Standing struct {
	Pinned     bool   // met before, and nothing is wrong with it
	Rejected   bool   // by the human, or replaced by another key
	Accepted   bool   // by the human
	Unattended bool   // may reach sessions that act without their human
	Device     bool   // another device of this user
	Name       string // under which it is pinned; may be empty
	Features   []string
}

// Proved reports whether the member once proved a capability.
func (s Standing) Proved(feature string) bool {
	return localdb.Pin{Features: s.Features}.Proved(feature)
}

// Of tells how a member stands; the zero Standing for one that was never met.
func (p *Pins) Of(member mesh.Key) Standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	pin, ok := p.pins[member]
	if !ok {
		return Standing{}
	}
	rejected := pin.Level == localdb.Rejected || pin.Level == localdb.Replaced
	return Standing{
		Pinned: !rejected, Rejected: rejected, Accepted: pin.Level == localdb.Accepted, Unattended: pin.Unattended && !rejected,
		Device: pin.Device && pin.Level == localdb.Accepted,
		Name:   pin.Name, Features: pin.Features,
	}
}

// Vouched reports whether a member vouched for a session key.
func (p *Pins) Vouched(session, member mesh.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.sessions[session]
	return ok && s.Member == member
}

// Taken reports whether a name, or one that looks like it, is pinned to others than a member and not to it.
func (p *Pins) Taken(name string, member mesh.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken(name, member)
}

// taken is Taken; p.mu is held.
func (p *Pins) taken(name string, member mesh.Key) bool {
	if name == "" {
		return false
	}
	holders := p.holders(name)
	for _, h := range holders {
		if h == member {
			return false
		}
	}
	return len(holders) > 0
}

// holders are the members to whom a name is pinned; p.mu is held.
func (p *Pins) holders(name string) []mesh.Key {
	if p.names == nil {
		p.names = map[string][]mesh.Key{}
		for _, pin := range p.pins {
			if pin.Name != "" && (pin.Level == localdb.Seen || pin.Level == localdb.Accepted) {
				folded := mesh.Fold(pin.Name)
				p.names[folded] = append(p.names[folded], pin.Member)
			}
		}
	}
	return p.names[mesh.Fold(name)]
}

// put changes a pin; p.mu is held.
func (p *Pins) put(pin localdb.Pin) {
	p.pins[pin.Member] = pin
	p.dirty.pins[pin.Member] = true
	p.names, p.addresses = nil, nil
}

// bind notes that a member vouched for a session key; p.mu is held. Whose a session key is does not change: false when
// another member vouched for it before.
func (p *Pins) bind(session, member mesh.Key, now time.Time) bool {
	old, ok := p.sessions[session]
	switch {
	case ok && old.Member != member:
		return false
	case !ok && len(p.sessions) >= maxSessions:
		return true // true all the same, and checked again the next time
	case ok && now.Sub(old.LastSeen) < seenEvery:
		return true
	}
	p.sessions[session] = localdb.PinnedSession{MeshID: p.opt.MeshID, Session: session, Member: member, LastSeen: now}
	p.dirty.sessions[session] = true
	return true
}

// flush writes what was learned. What cannot be written is tried again with the next change.
func (p *Pins) flush(ctx context.Context) error {
	p.mu.Lock()
	clean := len(p.dirty.pins)+len(p.dirty.sessions) == 0
	p.mu.Unlock()
	if clean {
		return nil
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turn }()
	pins, sessions, dirty := p.takeDirt()
	err := p.opt.DB.SavePins(ctx, pins, sessions)
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		for k := range dirty.pins {
			p.dirty.pins[k] = true
		}
		for k := range dirty.sessions {
			p.dirty.sessions[k] = true
		}
	}
	return err
}

func (p *Pins) takeDirt() (pins []localdb.Pin, sessions []localdb.PinnedSession, dirty dirt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.dirty.pins {
		pins = append(pins, p.pins[k])
	}
	for k := range p.dirty.sessions {
		sessions = append(sessions, p.sessions[k])
	}
	dirty, p.dirty = p.dirty, newDirt()
	return pins, sessions, dirty
}

// keep is flush for what is learned in passing: an error is logged, as memory has it.
func (p *Pins) keep(ctx context.Context) {
	if err := p.flush(ctx); err != nil && ctx.Err() == nil {
		p.opt.Log.Warn("pinned keys not written", slog.Any(logkey.Err, err))
	}
}
