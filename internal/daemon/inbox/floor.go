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
	next  int64 // what lies at it and behind was not looked at yet, for want of time; 0: all was
}

// after is the floor behind a look that began at f and ended before at; end is behind the newest row, refused the first row
// that was left, or 0. A look that found enough has not run out of time, and the next one begins where it began: a row that
// is let through by then comes before newer ones of its sender.
func (f floor) after(at, end, refused int64, enough bool) floor {
	went := f.next > 0 // it began where another had no time left
	switch {
	case !went && refused == 0:
		f.seq = at
	case !went:
		f.seq = refused
	}
	f.next = 0
	if at < end && (went || !enough) {
		f.next = at
	}
	return f
}

// find gives the floor of a surface, and the epoch in which it is asked.
func (f *floors) find(s Surface) (from floor, epoch int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.all[s.ID]
	if !ok || s.Scope.all || !known.since.Equal(s.Since) || known.path != s.Path || !slices.Equal(known.keys, s.Scope.keys) {
		return floor{}, f.epoch
	}
	return known, f.epoch
}

// set keeps a floor that was found in an epoch.
func (f *floors) set(s Surface, found floor, epoch int) {
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
	f.all[s.ID] = floor{keys: slices.Clone(s.Scope.keys), since: s.Since, path: s.Path, seq: found.seq, next: found.next}
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
