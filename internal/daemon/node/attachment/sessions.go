package attachment

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Sessions are the sessions of this user in one mesh.
type Sessions struct {
	at *Attachment

	mu    sync.Mutex
	spawn Spawn                   // nil unless Run runs
	links map[string]*SessionLink // by host session id

	departed departures
}

func newSessions(a *Attachment) *Sessions {
	return &Sessions{
		at: a, links: map[string]*SessionLink{}, departed: departures{links: map[mesh.Key]*SessionLink{}, spent: map[mesh.Key]bool{}},
	}
}

// Add gives a session its connection; one that tells the broker the same stays as it is.
func (o *Sessions) Add(l Line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.returns(l.Pubkey())
	speaks := newVoice(o.at, l.Session.ID)
	if old, ok := o.links[l.Session.ID]; ok {
		speaks = old.voice
		if reflect.DeepEqual(old.presence(), l.presence()) {
			next := *old // who has found the old one reads it without the lock
			next.Session = l.Session
			o.links[l.Session.ID] = &next
			if old.Seating.register(l.Session.Groups) && o.spawn != nil {
				o.spawn(old.Seating.tellLater)
			}
			knock(o.at.Link, old.Link)
			return
		}
		old.end()
	}
	sl := &SessionLink{Line: l, Seating: newSeating(o.at, l.Session.ID), voice: speaks, word: new(word), ending: make(chan struct{})}
	sl.Seating.register(l.Session.Groups)
	link, err := o.at.newLink(l.Secret, l.presence, sl.Seating)
	if err != nil {
		o.at.opt.Log.Error("session not attached", logkey.Mesh, o.at.Mesh.Slug, logkey.Err, err)
		delete(o.links, l.Session.ID)
		return
	}
	sl.Link = link
	o.links[l.Session.ID] = sl
	o.at.voices.move()
	if o.spawn != nil {
		o.start(sl)
	}
	knock(o.at.Link)
	o.at.wake.Fire()
}

// knock asks once more at brokers that would not hear us any more: somebody has started a session.
func knock(links ...*uplink.Link) {
	for _, l := range links {
		if l.State().Final() {
			l.Retry()
		}
	}
}

// start runs a session's connection. o.mu is held and o.spawn is set.
func (o *Sessions) start(s *SessionLink) {
	o.spawn(func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stopped := make(chan error, 1)
		go func() { stopped <- s.Link.Run(ctx) }()
		select {
		case err := <-stopped:
			return err
		case <-s.ending:
			cancel()
			return <-stopped
		}
	})
}

// retry asks a broker that knew no connections of sessions whether it knows them now.
func (o *Sessions) retry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.links {
		if !s.Speaks() {
			s.Link.Retry()
		}
	}
}

// knock asks again for the sessions of a member that was banned. One that was kicked is started by somebody.
func (o *Sessions) knock() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.links {
		if s.Link.State() == uplink.Banned {
			s.Link.Retry()
		}
	}
}

// Remove ends the connection of a session, when its messages have left.
func (o *Sessions) Remove(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s, ok := o.links[id]; ok {
		delete(o.links, id)
		if !o.depart(s) {
			s.end()
			o.at.drain.anew()
		}
		o.at.voices.move()
		o.at.wake.Fire()
		o.at.opt.Moved.Fire()
	}
}

// Find gives the connection of a session, nil without one.
func (o *Sessions) Find(id string) *SessionLink {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.links[id]
}

// later runs something that nobody waits for, while the attachment runs; false where it does not.
func (o *Sessions) later(run func(context.Context) error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.spawn != nil {
		o.spawn(run)
	}
	return o.spawn != nil
}

// begin lets sessions start, or with nil no more of them.
func (o *Sessions) begin(s Spawn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spawn = s
	if s == nil {
		return
	}
	for _, sl := range o.links {
		o.start(sl)
	}
}

// byKey gives a session by its key, and its name; nil when it has ended and nothing of it is left.
func (o *Sessions) byKey(key mesh.Key) (*SessionLink, string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.departed.links[key]; s != nil {
		return s, s.Session.Name
	}
	for _, s := range o.links {
		if s.Pubkey() == key {
			return s, s.Session.Name
		}
	}
	return nil, ""
}

// Sender is the id of the session that speaks by a key; empty for the member, and for one that has ended or does not
// speak here.
func (o *Sessions) Sender(key mesh.Key) string {
	s, _ := o.byKey(key)
	if s == nil || !s.Speaks() || o.departing(key) {
		return ""
	}
	return s.Session.ID
}

// connected lists the connections as they are now, with those of sessions that have ended.
func (o *Sessions) connected() []*SessionLink {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.AppendSeq(slices.Collect(maps.Values(o.links)), maps.Values(o.departed.links))
}

// all lists them as they are now.
func (o *Sessions) all() []*SessionLink {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Values(o.links))
}

// Count is how many sessions there are.
func (o *Sessions) Count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.links)
}
