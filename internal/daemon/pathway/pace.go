package pathway

import (
	"sync"
	"time"
)

// Pace spreads out what is offered to sessions by a path whose host drops what comes too fast, and says nothing: Burst
// messages at once, and one more after each Every. Both fields are set before the first use. Its methods may be called from
// any goroutine.
type Pace struct {
	Burst int
	Every time.Duration

	mu   sync.Mutex
	full map[string]time.Time // when a session may be offered a whole burst again
}

// Known reports whether anything was spent for a session.
func (p *Pace) Known(session string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.full[session]
	return known
}

// Room is how many messages a session may be offered now; where that is none, wait is how long it takes until there is one.
func (p *Pace) Room(session string, now time.Time) (n int, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	debt := p.debt(session, now)
	n = p.Burst - int((debt+p.Every-1)/p.Every)
	if n > 0 {
		return n, 0
	}
	return 0, debt - time.Duration(p.Burst-1)*p.Every
}

// Spend notes that messages are offered to a session.
func (p *Pace) Spend(session string, n int, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full == nil {
		p.full = map[string]time.Time{}
	}
	p.full[session] = now.Add(p.debt(session, now) + time.Duration(n)*p.Every)
}

// debt is how long it takes until a session may be offered a whole burst. A clock that was set back costs a burst at most.
// p.mu is held.
func (p *Pace) debt(session string, now time.Time) time.Duration {
	full, known := p.full[session]
	if latest := now.Add(time.Duration(p.Burst) * p.Every); known && full.After(latest) {
		full = latest
		p.full[session] = full
	}
	return max(0, full.Sub(now))
}

// Retain forgets the sessions that are not to be kept.
func (p *Pace) Retain(keep func(session string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for session := range p.full {
		if !keep(session) {
			delete(p.full, session)
		}
	}
}
