// Package events hands what happens in the daemon besides messages to whoever listens.
package events

import (
	"sync"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Event is something that happened besides messages: those are read from the inbox (design D6).
type Event struct {
	Kind string // a kind of package localapi
	Mesh mesh.ID
	Body any // of package localapi

	// Of is the key that it is the business of: a session's, or the member's for the user. Empty: everybody's in the mesh.
	Of mesh.Key
}

// eventBuffer is how many events a subscriber may be behind; one that is further behind is cut off (daemon 9).
const eventBuffer = 256

// Events hands events to subscribers. Its methods may be called from any goroutine.
type Events struct {
	mu   sync.Mutex
	subs map[chan Event]bool
}

// New returns events without subscribers.
func New() *Events { return &Events{subs: map[chan Event]bool{}} }

// Subscribe gives the events from now on. The channel is closed when the subscriber is too far behind, or by the
// returned function, which must be called.
func (e *Events) Subscribe() (<-chan Event, func()) {
	ch := make(chan Event, eventBuffer)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.subs[ch] = true
	return ch, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.drop(ch)
	}
}

// Publish hands an event to every subscriber.
func (e *Events) Publish(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ch := range e.subs {
		select {
		case ch <- ev:
		default:
			e.drop(ch)
		}
	}
}

// drop ends a subscription once. e.mu is held.
func (e *Events) drop(ch chan Event) {
	if e.subs[ch] {
		delete(e.subs, ch)
		close(ch)
	}
}
