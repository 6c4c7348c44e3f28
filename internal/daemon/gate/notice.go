package gate

import (
	"sync"
	"time"
)

// HeldText is what a session is told of held messages. It is always the same: nothing that a sender wrote is in it.
const HeldText = "A message for this session is held for its human, because this session may act without asking. " +
	"Nothing is to be done here. The human reads it outside of the session with: claudemesh inbox"

// LoopText is what a session is told of messages that wait, in the same way.
const LoopText = "Messages wait unread in this session's inbox. They are not shown by themselves, because this session and others have " +
	"exchanged many without a human. Nothing is to be done here. They can be read with: claudemesh inbox --unread"

// Notice is the text that goes with a reason, and its kind on the event stream; empty where the session is told nothing.
// Where the host's own settings, or the human, hold or mute messages they stop the notice too.
func Notice(r Reason) (kind, text string) {
	switch r {
	case Unattended:
		return "held", HeldText
	case Loop:
		return "loop", LoopText
	case None, HostHolds, HostRefuses, Paused, Muted, Unproved:
	}
	return "", ""
}

// Limiter lets each session be told of each reason once in an interval (design E3). It may be shared. It remembers what was
// told within the interval.
type Limiter struct {
	Every time.Duration

	mu   sync.Mutex
	told map[told]time.Time
}

// told is a reason that a session was told of.
type told struct {
	session string
	reason  Reason
}

// Allow reports whether a session may be told of a message that is not shown for a reason, and notes that it was.
func (l *Limiter) Allow(sessionID string, r Reason, now time.Time) bool {
	if kind, _ := Notice(r); kind == "" {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for what, at := range l.told {
		if since := now.Sub(at); since >= l.Every || since < 0 { // the clock may have been set back
			delete(l.told, what)
		}
	}
	what := told{sessionID, r}
	if _, done := l.told[what]; done {
		return false
	}
	if l.told == nil {
		l.told = map[told]time.Time{}
	}
	l.told[what] = now
	return true
}
