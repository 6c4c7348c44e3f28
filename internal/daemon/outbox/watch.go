package outbox

import (
	"sync"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// watch tells who waits for a message that something became of it. Its zero value is ready.
type watch struct {
	mu      sync.Mutex
	waiting map[mesh.ClientID][]chan struct{}
}

// Watch gives a channel that gets a value after each change of one of these messages, until stop.
func Watch(o *Outbox, ids ...mesh.ClientID) (changed <-chan struct{}, stop func()) {
	return o.watch.begin(ids...)
}

// begin returns a channel that gets a value after each change of the messages, until stop.
func (w *watch) begin(ids ...mesh.ClientID) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = map[mesh.ClientID][]chan struct{}{}
	}
	for _, id := range ids {
		w.waiting[id] = append(w.waiting[id], ch)
	}
	return ch, func() {
		for _, id := range ids {
			w.end(id, ch)
		}
	}
}

func (w *watch) end(id mesh.ClientID, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var rest []chan struct{}
	for _, c := range w.waiting[id] {
		if c != ch {
			rest = append(rest, c)
		}
	}
	if len(rest) == 0 {
		delete(w.waiting, id)
		return
	}
	w.waiting[id] = rest
}

// notify tells all who wait for these messages, after the change is on the disk.
func (w *watch) notify(ids []mesh.ClientID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		for _, ch := range w.waiting[id] {
			select {
			case ch <- struct{}{}:
			default: // it has not looked since the last change
			}
		}
	}
}
