package outbox

import (
	"sync"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// wakes reach the running drains.
type wakes struct {
	mu    sync.Mutex
	drain map[mesh.ID]chan struct{} // each holds one wish to look
}

// add gives the one drain of a mesh what wakes it.
func (w *wakes) add(meshID mesh.ID) (<-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.drain[meshID]; ok {
		return nil, mesh.Errorf(mesh.Internal, "a drain runs for mesh %s", meshID)
	}
	if w.drain == nil {
		w.drain = map[mesh.ID]chan struct{}{}
	}
	ch := make(chan struct{}, 1)
	w.drain[meshID] = ch
	return ch, nil
}

// remove forgets a drain that has ended.
func (w *wakes) remove(meshID mesh.ID) {
	w.mu.Lock()
	delete(w.drain, meshID)
	w.mu.Unlock()
}

// wake tells the drain of a mesh that it has something to do. Without a drain nothing is lost: it reads all when it begins.
func (w *wakes) wake(meshID mesh.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ch, ok := w.drain[meshID]; ok {
		select {
		case ch <- struct{}{}:
		default: // it has been told
		}
	}
}
