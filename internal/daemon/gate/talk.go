package gate

import (
	"maps"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Limits are how often others may wake a session. 0 sets no limit.
type Limits struct {
	Minute      int // messages of one sender in a minute
	Hour        int // messages of one sender in an hour
	HourTokens  int // of text of one sender in an hour
	SessionHour int // messages of all senders in an hour
	Alternating int // messages of the two in turns, since a human spoke to the session
}

// Talk is how a sender and a session have talked lately.
type Talk struct {
	Minute, Hour, HourTokens, SessionHour, Alternating int
}

// over reports whether one message more is one too many.
func (t Talk) over(l Limits) bool {
	full := func(n, limit int) bool { return limit > 0 && n >= limit }
	return full(t.Minute, l.Minute) || full(t.Hour, l.Hour) || full(t.HourTokens, l.HourTokens) ||
		full(t.SessionHour, l.SessionHour) || full(t.Alternating, l.Alternating)
}

// bytesPerToken is about what a model makes a token of.
const bytesPerToken = 4

// maxShown bounds the messages that are remembered of a session. At the bound the oldest is forgotten; it lies above every
// limit that a setting may have.
const maxShown = 10_000

// Talks remembers for an hour who has said what to which session, by what this machine itself did: what was pushed, what the
// session sent, when its human spoke. What messages say of themselves counts for nothing. After a restart it recalls what was
// pushed, and counts turns anew. The zero Talks is ready; it may be shared.
type Talks struct {
	mu       sync.Mutex
	sessions map[string]*conversation
}

// conversation is that of one session.
type conversation struct {
	shown []shown // oldest first
	said  map[mesh.Key]moment
	turns map[mesh.Key]turns
	used  moment

	recalled bool
}

// moment is when something happened, and behind how much else, which tells apart what happens at one time.
type moment struct {
	at   time.Time
	step int
}

// shown is one message that was pushed.
type shown struct {
	from   mesh.Key
	at     time.Time
	tokens int
}

// turns counts how often a sender wrote after it was answered.
type turns struct {
	n    int
	last moment // when it wrote last
}

// Pushed notes that a message of so many bytes was given to a session.
func (t *Talks) Pushed(session string, from mesh.Key, sizeBytes int, now time.Time) {
	t.with(session, now, func(c *conversation) {
		if len(c.shown) == maxShown {
			c.shown = c.shown[1:]
		}
		c.shown = append(c.shown, shown{from, now, sizeBytes / bytesPerToken})
		count := c.turns[from]
		if count.n == 0 || c.answered(from) {
			count.n++
		}
		count.last = c.used
		c.turns[from] = count
	})
}

// Past is a message that was given to a session before.
type Past struct {
	From  mesh.Key
	At    time.Time
	Bytes int
}

// Recalled reports whether it is known what was pushed to a session before.
func (t *Talks) Recalled(session string, now time.Time) (is bool) {
	t.with(session, now, func(c *conversation) { is = c.recalled })
	return is
}

// Recall notes what was given to a session within the last hour, oldest first, before a restart. The first time counts.
func (t *Talks) Recall(session string, all []Past, now time.Time) {
	t.with(session, now, func(c *conversation) {
		if c.recalled {
			return
		}
		c.recalled = true
		var before []shown
		for _, p := range all {
			before = append(before, shown{p.From, p.At, p.Bytes / bytesPerToken})
		}
		c.shown = append(before, c.shown...)
		c.shown = c.shown[max(0, len(c.shown)-maxShown):]
	})
}

// Said notes that a session writes to a key, or with an empty one to everybody.
func (t *Talks) Said(session string, to mesh.Key, now time.Time) {
	t.with(session, now, func(c *conversation) { c.said[to] = c.used })
}

// Human notes that the human of a session spoke to it: turns are counted anew.
func (t *Talks) Human(session string, now time.Time) {
	t.with(session, now, func(c *conversation) {
		clear(c.turns)
		clear(c.said)
	})
}

// Of is how a sender and a session have talked.
func (t *Talks) Of(session string, from mesh.Key, now time.Time) Talk {
	var talk Talk
	t.with(session, now, func(c *conversation) {
		talk.SessionHour = len(c.shown)
		for _, s := range c.shown {
			if s.from != from {
				continue
			}
			talk.Hour++
			talk.HourTokens += s.tokens
			if now.Sub(s.at) < time.Minute {
				talk.Minute++
			}
		}
		talk.Alternating = 2 * c.turns[from].n
		if talk.Alternating > 0 && !c.answered(from) {
			talk.Alternating -= 2 // what it adds to its last word is no new turn
		}
	})
	return talk
}

// answered reports whether the session has written to a sender, or to everybody, since that one wrote last.
func (c *conversation) answered(from mesh.Key) bool {
	return max(c.said[from].step, c.said[""].step) > c.turns[from].last.step
}

// with works on the conversation of a session, and forgets what is older than an hour.
func (t *Talks) with(session string, now time.Time, fn func(*conversation)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := func(at time.Time) bool { return now.Sub(at) >= time.Hour || now.Before(at) } // the clock may have been set back
	for id, c := range t.sessions {
		if old(c.used.at) {
			delete(t.sessions, id)
		}
	}
	c := t.sessions[session]
	if c == nil {
		c = &conversation{said: map[mesh.Key]moment{}, turns: map[mesh.Key]turns{}}
		if t.sessions == nil {
			t.sessions = map[string]*conversation{}
		}
		t.sessions[session] = c
	}
	c.used = moment{now, c.used.step + 1}
	for len(c.shown) > 0 && old(c.shown[0].at) {
		c.shown = c.shown[1:]
	}
	for len(c.shown) > 0 && old(c.shown[len(c.shown)-1].at) {
		c.shown = c.shown[:len(c.shown)-1]
	}
	maps.DeleteFunc(c.turns, func(_ mesh.Key, count turns) bool { return old(count.last.at) })
	maps.DeleteFunc(c.said, func(_ mesh.Key, m moment) bool { return old(m.at) })
	fn(c)
}
