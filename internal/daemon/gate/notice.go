package gate

import (
	"sync"
	"time"
)

// HeldText is what a session is told of held messages. It is always the same: nothing that a sender wrote is in it.
const HeldText = "A message for this session is held for its human, because this session may act without asking. " +
	"Nothing is to be done here. The human reads it outside of the session with: claudemesh inbox"

// NoticeEvery is how often a session is told at most (design E3).
const NoticeEvery = 10 * time.Minute

// Limiter lets each session be told once in NoticeEvery. The zero Limiter is ready; it may be shared. It remembers the
// sessions that were told within NoticeEvery.
type Limiter struct {
	mu   sync.Mutex
	told map[string]time.Time
}

// Allow reports whether a session may be told of a message that was held for a reason, and notes that it was. Where the
// host's own settings hold or refuse messages they stop the notice too.
func (l *Limiter) Allow(sessionID string, r Reason, now time.Time) bool {
	if r != Unattended {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, at := range l.told {
		if since := now.Sub(at); since >= NoticeEvery || since < 0 { // the clock may have been set back
			delete(l.told, id)
		}
	}
	if _, told := l.told[sessionID]; told {
		return false
	}
	if l.told == nil {
		l.told = map[string]time.Time{}
	}
	l.told[sessionID] = now
	return true
}
