package queue

import (
	"context"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// address is a mailbox: what it is called on the wire, in the hub and in the store. It does not change.
type address struct {
	mesh mesh.ID
	key  mesh.Key // session key for a session's mailbox, else member key
	box  hub.Mailbox
	n    store.Box
}

// directory finds mailboxes by their key. It remembers what the store said for a moment, who is connected, and what
// each member lets others do.
type directory struct {
	db  *sqlite.DB
	set config.Broker
	now mesh.Clock

	reached func(config.Bound, int)

	mu     sync.RWMutex
	known  map[where]found
	live   map[hub.Mailbox]liveBox
	grants map[mesh.ID]mesh.Grants // of the members that have any entry; what is in it is not changed
	gone   map[mesh.ID]bool        // members whose membership ended while this process runs: one of them may be on its way in
}

type where struct {
	mesh mesh.ID
	key  mesh.Key
}

type found struct {
	address *address
	until   time.Time
}

type liveBox struct {
	address *address
	conns   int
}

const (
	maxKnown = 1 << 16     // addresses remembered; at the bound all are forgotten and read again
	knownFor = time.Minute // how late the end of a membership can be noticed where CloseMember was not called
)

func newDirectory(opt Options) *directory {
	return &directory{
		db: opt.DB, set: opt.Settings, now: opt.Now, reached: opt.Reached, known: map[where]found{}, live: map[hub.Mailbox]liveBox{},
		grants: map[mesh.ID]mesh.Grants{}, gone: map[mesh.ID]bool{},
	}
}

// find returns the mailbox of a member key, or of a session key that was seen lately, or target_not_found.
func (d *directory) find(ctx context.Context, meshID mesh.ID, key mesh.Key) (*address, error) {
	w, now := where{meshID, key}, d.now()
	d.mu.RLock()
	f, ok := d.known[w]
	d.mu.RUnlock()
	if ok && now.Before(f.until) {
		return f.address, nil
	}
	a, err := d.read(ctx, w, now)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.learn(a, now)
	return a, nil
}

// learn remembers an address for a moment. d.mu is held.
func (d *directory) learn(a *address, now time.Time) {
	if len(d.known) >= maxKnown {
		clear(d.known)
	}
	d.known[where{a.mesh, a.key}] = found{a, now.Add(knownFor)}
}

// read asks the store. Member keys come first: a session that announces one must not get its mail.
func (d *directory) read(ctx context.Context, w where, now time.Time) (*address, error) {
	a := &address{mesh: w.mesh, key: w.key}
	err := d.db.Read(ctx, func(tx *sqlite.Tx) error {
		m, err := store.FindMemberByKey(tx, w.mesh, w.key)
		if !mesh.IsCode(err, mesh.NotFound) {
			a.box.Member, a.n.Member = m.ID, m.N
			return err
		}
		s, err := store.FindSession(tx, w.mesh, w.key)
		if err != nil {
			return err
		}
		if m, err = store.FindMemberByNumber(tx, s.Member); err != nil {
			return err
		}
		a.box = hub.Mailbox{Member: m.ID, Session: w.key}
		a.n = store.Box{Member: m.N, Session: s.N}
		if !m.Active() {
			return mesh.Errorf(mesh.NotFound, "the membership of this session has ended")
		}
		if s.LastSeen.Before(now.Add(-d.set.SessionSeen)) && !d.online(a.box) {
			d.reached(config.BoundSessionSeen, 1)
			return mesh.Errorf(mesh.NotFound, "this session was not seen for too long")
		}
		return nil
	})
	if mesh.IsCode(err, mesh.NotFound) {
		return nil, mesh.Errorf(mesh.TargetNotFound, "nobody in this mesh has the key %s", w.key.Short())
	}
	return a, err
}

// banish notes that a membership has ended, or is given back, and forgets what the store said before.
func (d *directory) banish(member mesh.ID, banned bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.known)
	if banned {
		d.gone[member] = true
	} else {
		delete(d.gone, member)
	}
}

// admit counts a connection of mailboxes, leave takes one of them back. It refuses a member whose membership ended after
// the store was asked.
func (d *directory) admit(boxes []*address) bool {
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone[boxes[0].box.Member] {
		return false
	}
	for _, a := range boxes {
		d.live[a.box] = liveBox{a, d.live[a.box].conns + 1}
		d.learn(a, now)
	}
	return true
}

func (d *directory) leave(a *address) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.live[a.box]
	if l.conns--; l.conns <= 0 {
		delete(d.live, a.box)
	} else {
		d.live[a.box] = l
	}
}

// online reports whether a mailbox has a connection.
func (d *directory) online(box hub.Mailbox) bool { return d.connected(box) != nil }

// connected returns the address of a mailbox that has a connection, else nil.
func (d *directory) connected(box hub.Mailbox) *address {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.live[box].address
}
