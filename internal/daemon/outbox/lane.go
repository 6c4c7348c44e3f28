package outbox

import (
	"cmp"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// laneKey is what must stay in order: everything from one sender to one target.
type laneKey struct {
	target string
	sender mesh.Key
}

// ref is a row that waits, as the drain remembers it.
type ref struct {
	seq        int64 // rowid: the order of acceptance
	id         mesh.ClientID
	enqueuedMs int64
	nextMs     int64 // not before this time
	attempts   int
}

// due reports whether the row may be sent. None is put off by more than maxBackoff: a later time was written down by a
// clock that was set back since.
func (r ref) due(nowMs int64) bool {
	return r.nextMs <= nowMs || r.nextMs > nowMs+maxBackoff.Milliseconds()
}

// lane is a queue of rows and how far it was sent. A row that was not accepted breaks it: nothing follows until the
// fate of all that are under way is known, and then the broken rows go first again, in their order. The broker helps:
// it refuses a frame whose predecessor it has not accepted (SendRequest.After).
type lane struct {
	key     laneKey
	waiting []ref
	flying  int
	broken  []attempt     // not accepted, by whatever reason; their rows are inflight until settled
	last    mesh.ClientID // the youngest that was written, while one is under way
	probing bool          // the one under way has failed before: it goes alone
	losses  int           // tries in a row without an answer
	quota   int           // rows it may still send before others get its place
	active  bool
}

// attempt is one try of a row, and how it ended.
type attempt struct {
	ref
	lane      *lane
	verdict   verdict
	brokerID  mesh.ID
	mailboxes int
	reason    string
	retry     time.Duration // the broker's own idea of when to come again
}

// ready reports whether the next row may be sent, as far as the lane knows.
func (l *lane) ready(nowMs int64, window int) bool {
	switch {
	case len(l.waiting) == 0, len(l.broken) > 0, l.probing, l.flying >= window:
		return false
	case l.flying > 0 && l.fragile():
		return false
	}
	return l.waiting[0].due(nowMs)
}

// fragile says that the next row has failed before, so that it is to go alone.
func (l *lane) fragile() bool { return l.waiting[0].attempts > 0 || l.losses > 0 }

// take moves the next row under way.
func (l *lane) take() attempt {
	l.probing = l.fragile()
	r := l.waiting[0]
	l.waiting = l.waiting[1:]
	l.flying++
	l.quota--
	return attempt{ref: r, lane: l}
}

// landed counts one less under way and says whether the lane can be settled.
func (l *lane) landed(a attempt) {
	l.flying--
	switch a.verdict {
	case accepted:
		l.losses = 0
	case final, gone:
	case refused, throttled, unanswered, overtaking, oversized:
		l.broken = append(l.broken, a)
	}
	if l.flying == 0 {
		l.last, l.probing = "", false
	}
}

// settle puts what was not accepted back to the front, once nothing is under way, and returns it, oldest first.
// Only the oldest is to blame; the others could not be accepted after it.
func (l *lane) settle(nowMs int64) []attempt {
	if l.flying > 0 || len(l.broken) == 0 {
		return nil
	}
	broken := l.broken
	l.broken = nil
	slices.SortFunc(broken, func(a, b attempt) int { return cmp.Compare(a.seq, b.seq) })
	for i := range broken {
		a := &broken[i]
		a.nextMs = nowMs
		if i > 0 {
			a.verdict = overtaking
			continue
		}
		l.blame(a)
	}
	front := make([]ref, 0, len(broken)+len(l.waiting))
	for _, a := range broken {
		front = append(front, a.ref)
	}
	l.waiting = append(front, l.waiting...)
	return broken
}

// blame charges a refusal and says when to try again.
func (l *lane) blame(a *attempt) {
	wait := time.Duration(0)
	switch a.verdict {
	case refused:
		a.attempts++
		wait = backoff(a.attempts)
	case unanswered, oversized:
		l.losses++
		wait = backoff(l.losses)
	case accepted, final, gone, throttled, overtaking: // the schedule's pause, or nothing to wait for
	}
	a.nextMs += max(wait, a.retry).Milliseconds()
}
