package outbox

import (
	"sync"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// wakes reach the running drains.
type wakes struct {
	mu    sync.Mutex
	drain map[mesh.ID]chan struct{} // each holds one wish to look
	gone  map[mesh.ID][]int64       // rowids that were aborted and that the drain has not yet let go
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
	delete(w.gone, meshID)
	w.mu.Unlock()
}

// drop tells the drain of a mesh that a row was aborted, so that what is behind it need not wait for its turn.
func (w *wakes) drop(meshID mesh.ID, seq int64) {
	w.mu.Lock()
	if _, ok := w.drain[meshID]; ok {
		if w.gone == nil {
			w.gone = map[mesh.ID][]int64{}
		}
		w.gone[meshID] = append(w.gone[meshID], seq)
	}
	w.mu.Unlock()
	w.wake(meshID)
}

// dropped takes the rows that were aborted since the last time.
func (w *wakes) dropped(meshID mesh.ID) []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := w.gone[meshID]
	delete(w.gone, meshID)
	return gone
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
