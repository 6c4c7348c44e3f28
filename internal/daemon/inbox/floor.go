package inbox

import (
	"slices"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// floors remembers for each surface below which seq Claim will never find anything again: all was taken there, read,
// or given to others. It saves reading the whole inbox for each message. Its zero
// value is ready.
type floors struct {
	mu    sync.Mutex
	all   map[string]floor
	epoch int // grows whenever they are forgotten: what was found before does not hold any more
}

// maxFloors is how many surfaces are remembered: far more than live at once.
const maxFloors = 1024

// floor holds only for the scope, the time and the path with which it was found: other keys may have older rows, and what
// one path showed nobody another one may.
type floor struct {
	keys  []mesh.Key
	since time.Time
	path  string
	seq   int64
}

// find gives the floor of a surface, and the epoch in which it is asked.
func (f *floors) find(s Surface) (seq int64, epoch int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.all[s.ID]
	if !ok || s.Scope.all || !known.since.Equal(s.Since) || known.path != s.Path || !slices.Equal(known.keys, s.Scope.keys) {
		return 0, f.epoch
	}
	return known.seq, f.epoch
}

// set keeps a floor that was found in an epoch.
func (f *floors) set(s Surface, seq int64, epoch int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if epoch != f.epoch {
		return
	}
	if f.all == nil {
		f.all = map[string]floor{}
	}
	if len(f.all) >= maxFloors {
		clear(f.all) // they are found again
	}
	f.all[s.ID] = floor{keys: slices.Clone(s.Scope.keys), since: s.Since, path: s.Path, seq: seq}
}

// drop forgets the floor of a surface to which older rows are given again.
func (f *floors) drop(surface string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, surface)
	f.epoch++
}

// forget forgets all of them: older rows may be taken again.
func (f *floors) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = nil
	f.epoch++
}
