package node

import (
	"sync"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Event is something that happened besides messages: those are read from the inbox (design D6).
type Event struct {
	Kind string // a kind of package localapi
	Mesh mesh.ID
	Body any // of package localapi
}

// eventBuffer is how many events a subscriber may be behind; one that is further behind is cut off (daemon 9).
const eventBuffer = 256

// events hands events to subscribers.
type events struct {
	mu   sync.Mutex
	subs map[chan Event]bool
}

func newEvents() *events { return &events{subs: map[chan Event]bool{}} }

// Subscribe gives the events from now on. The channel is closed when the subscriber is too far behind, or by the
// returned function, which must be called.
func (n *Node) Subscribe() (<-chan Event, func()) {
	ch := make(chan Event, eventBuffer)
	e := n.events
	e.mu.Lock()
	defer e.mu.Unlock()
	e.subs[ch] = true
	return ch, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.drop(ch)
	}
}

func (e *events) publish(ev Event) {
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
func (e *events) drop(ch chan Event) {
	if e.subs[ch] {
		delete(e.subs, ch)
		close(ch)
	}
}
