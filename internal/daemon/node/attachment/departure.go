package attachment

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// departures are the sessions that have ended, and whose messages are still to leave in their name (design C5). Sessions.mu
// guards them.
type departures struct {
	links map[mesh.Key]*SessionLink
	spent map[mesh.Key]bool // what is left of them is their member's to send
}

const (
	// maxDepartures bounds them; what more of them leave behind is sent by their member.
	maxDepartures = 32
	// departTime is how long a connection may stay open with none of its messages leaving: an ended session is gone for
	// everybody within 5 s.
	departTime = 3 * time.Second
	departMost = 30 * time.Second // and however many of them leave
	departStep = 50 * time.Millisecond
)

// depart keeps the connection of a session that has ended until its messages have left. False when there is no room for it.
// o.mu is held.
func (o *Sessions) depart(s *SessionLink) bool {
	if o.spawn == nil || !s.Speaks() || len(o.departed.links) >= maxDepartures {
		return false
	}
	o.departed.links[s.Pubkey()] = s
	o.spawn(func(ctx context.Context) error {
		o.at.seeOff(ctx, s)
		return nil
	})
	return true
}

// returns ends the departure of a session that is back: its new connection takes the messages. o.mu is held.
func (o *Sessions) returns(key mesh.Key) {
	if s := o.departed.links[key]; s != nil {
		delete(o.departed.links, key)
		s.end()
	}
}

// departing reports whether a key is that of a session that has ended and whose messages leave.
func (o *Sessions) departing(key mesh.Key) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.departed.links[key] != nil
}

// unknown are those of some keys that have no connection, and were not given up before.
func (o *Sessions) unknown(keys map[mesh.Key]int) []mesh.Key {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := maps.Clone(o.departed.spent)
	clear(o.departed.spent)
	for _, s := range o.links {
		known[s.Pubkey()] = true
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(keys)), func(k mesh.Key) bool { return known[k] || o.departed.links[k] != nil })
}

// gone ends a departure. What is left is sent by the member from now on.
func (o *Sessions) gone(s *SessionLink, left bool) {
	o.mu.Lock()
	if o.departed.links[s.Pubkey()] == s {
		delete(o.departed.links, s.Pubkey())
		if left {
			o.departed.spent[s.Pubkey()] = true
		}
		s.end()
	}
	o.mu.Unlock()
	o.at.wake.Fire()
}

// seeOff waits until the messages of a session that has ended have left. A broker that is away is waited for; one that is
// there has a few seconds for the next of them.
func (a *Attachment) seeOff(ctx context.Context, s *SessionLink) {
	left, quiet, open := 0, time.Duration(0), time.Duration(0)
	for quiet < departTime && open < departMost {
		changed, before := s.Link.Changed(), left
		waiting, err := a.opt.Outbox.Waiting(ctx, a.Mesh.ID)
		if err != nil && ctx.Err() == nil {
			a.opt.Log.Error("messages of an ended session not counted", logkey.Mesh, a.Mesh.Slug, logkey.Err, err)
		}
		left = waiting[s.Pubkey()]
		state := s.Link.State()
		if left == 0 || state == uplink.Unsupported || state == uplink.Rejected {
			break
		}
		wait := departTime
		if state == uplink.Open {
			wait, open = departStep, open+departStep
		}
		if quiet += departStep; left < before || state != uplink.Open {
			quiet = 0
		}
		select {
		case <-ctx.Done(): // it goes on when the daemon is there again
			return
		case <-s.ending: // the session is back
			return
		case <-changed:
		case <-time.After(wait):
		}
	}
	a.Sessions.gone(s, left > 0)
	a.Heed(ctx, s.Pubkey())
}

// Heed looks after a message that was accepted for a session which may have ended meanwhile: it would wait for a
// connection that never comes.
func (a *Attachment) Heed(ctx context.Context, sender mesh.Key) {
	if sender == "" {
		return
	}
	if s, _ := a.Sessions.byKey(sender); s != nil {
		return
	}
	if left, err := a.opt.Outbox.Waiting(ctx, a.Mesh.ID); err != nil || left[sender] > 0 {
		a.drain.anew()
	}
}

// leave gives connections to sessions that ended before their messages had left, and whose key is kept still.
func (a *Attachment) leave(ctx context.Context, key mesh.Key) error {
	ids, secret, err := a.opt.Book.FindSession(a.Mesh.ID, key)
	if err != nil {
		return err
	}
	was, err := localdb.FindDeparted(ctx, a.opt.DB, ids...)
	if err != nil {
		return err
	}
	l := Line{
		Session: registry.Session{ID: was.ID, Name: was.Name, Role: was.Role, CWD: was.CWD},
		Line:    registry.Line{MeshID: a.Mesh.ID, Slug: a.Mesh.Slug, Member: a.Mesh.Pubkey(), Secret: secret},
	}
	return a.Sessions.bringBack(l)
}

// bringBack connects a session that has ended, for its messages.
func (o *Sessions) bringBack(l Line) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.links[l.Session.ID] != nil || o.departed.links[l.Pubkey()] != nil {
		return nil // it has just come back by itself
	}
	s := &SessionLink{Line: l, Seating: newSeating(o.at, l.Session.ID), voice: newVoice(o.at, l.Session.ID), word: new(word), ending: make(chan struct{})}
	if _, err := o.at.newLink(l.Secret, l.presence, s.Seating); err != nil {
		return err
	}
	s.Link = s.Seating.Link
	if !o.depart(s) {
		return mesh.Errorf(mesh.QueueFull, "%d sessions are leaving already", len(o.departed.links))
	}
	o.start(s)
	return nil
}
