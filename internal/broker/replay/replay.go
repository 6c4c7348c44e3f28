// Package replay remembers what was signed lately, so that a copy of it is refused.
package replay

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxPerAge bounds one generation: 32 bytes and a map's overhead each, some 20 MB for both when full. At the bound the
// older generation is forgotten early: whoever may sign that much can only make his own words repeatable sooner,
// while refusing would lock everybody out.
const maxPerAge = 1 << 17

// Cache remembers for at least its time and at most twice that. It may be used from any goroutine.
type Cache struct {
	keep  time.Duration
	limit int
	now   mesh.Clock

	mu      sync.Mutex
	young   map[[sha256.Size]byte]struct{}
	old     map[[sha256.Size]byte]struct{}
	started time.Time // of young
}

// New makes a cache that remembers for keep: 120 s for what is signed with a time of ±60 s (design C4).
func New(keep time.Duration, now mesh.Clock) *Cache {
	return &Cache{keep: keep, limit: maxPerAge, now: now, young: map[[sha256.Size]byte]struct{}{}, started: now()}
}

// First reports whether parts were not seen within the time, and remembers them.
func (c *Cache) First(parts ...string) bool {
	key := digest(parts)
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	age := now.Sub(c.started)
	if age < 0 { // the clock was set back
		c.started = now
	}
	if age >= c.keep || len(c.young) >= c.limit {
		c.old, c.young, c.started = c.young, map[[sha256.Size]byte]struct{}{}, now
		if age >= 2*c.keep {
			c.old = nil
		}
	}
	if _, seen := c.old[key]; seen {
		return false
	}
	if _, seen := c.young[key]; seen {
		return false
	}
	c.young[key] = struct{}{}
	return true
}

// digest hashes parts with their lengths, so that no two lists share one.
func digest(parts []string) [sha256.Size]byte {
	h := sha256.New()
	for _, p := range parts {
		n := len(p)
		h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		h.Write([]byte(p))
	}
	return [sha256.Size]byte(h.Sum(nil))
}
