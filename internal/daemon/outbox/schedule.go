package outbox

import (
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

const (
	// maxLanes bounds the targets that have rows under way at once (daemon 13.3).
	maxLanes = 8
	// maxWindow bounds the rows of one target under way, whatever the broker allows.
	maxWindow = 64
	// Against a broker that names no limits (daemon 13.3).
	defaultPerSecond = 1
	defaultBurst     = 10
)

// schedule decides which rows go next. It does no I/O and reads no clock; the drain that owns it does.
type schedule struct {
	lanes    map[laneKey]*lane
	queue    []*lane // with rows waiting and none under way, in the order in which they get a place
	active   []*lane // with rows under way
	bucket   *rate.Limiter
	window   int
	resume   time.Time                   // nothing is sent before: the broker found us too fast
	flying   map[mesh.Key]int            // rows under way, by connection
	suspects map[mesh.Key]map[int64]bool // rows of which one closed its connection by its size
}

func newSchedule() *schedule {
	return &schedule{
		lanes: map[laneKey]*lane{}, bucket: rate.NewLimiter(defaultPerSecond, defaultBurst), window: 1,
		flying: map[mesh.Key]int{}, suspects: map[mesh.Key]map[int64]bool{},
	}
}

// limit takes over the broker's limits. A new limit begins with a full bucket, as the broker's own does.
func (s *schedule) limit(l protocol.Limits) {
	perSecond, burst := rate.Limit(l.SendPerSecond), l.SendBurst
	if perSecond <= 0 || burst <= 0 {
		perSecond, burst = defaultPerSecond, defaultBurst
	}
	if s.bucket.Limit() != perSecond || s.bucket.Burst() != burst {
		s.bucket = rate.NewLimiter(perSecond, burst)
	}
	s.window = min(max(l.SendWindow, 1), maxWindow)
}

// add appends a row to its lane.
func (s *schedule) add(key laneKey, r ref) {
	l := s.lanes[key]
	if l == nil {
		l = &lane{key: key}
		s.lanes[key] = l
	}
	if len(l.waiting) == 0 && !l.active {
		s.queue = append(s.queue, l)
	}
	l.waiting = append(l.waiting, r)
}

// pick moves under way what may go now: rows of the active lanes, then of those that wait for a place. Where others
// wait, a lane sends one window and then goes to the end of the queue.
func (s *schedule) pick(now time.Time, open func(mesh.Key) bool) []attempt {
	if now.Before(s.resume) {
		return nil
	}
	nowMs := now.UnixMilli()
	contended := slices.ContainsFunc(s.queue, func(l *lane) bool { return s.eligible(l, nowMs, open) })
	var picked []attempt
	for _, l := range s.active {
		picked = s.fill(picked, l, now, contended, open)
	}
	for i := 0; i < len(s.queue) && len(s.active) < maxLanes && s.bucket.TokensAt(now) >= 1; {
		l := s.queue[i]
		if !s.eligible(l, nowMs, open) {
			i++
			continue
		}
		s.queue = slices.Delete(s.queue, i, i+1)
		s.active = append(s.active, l)
		l.active, l.quota = true, s.window
		picked = s.fill(picked, l, now, true, open)
	}
	return picked
}

// fill takes rows of one lane as long as lane, connection and rate allow.
func (s *schedule) fill(picked []attempt, l *lane, now time.Time, contended bool, open func(mesh.Key) bool) []attempt {
	for s.eligible(l, now.UnixMilli(), open) && (l.quota > 0 || !contended) && s.bucket.AllowN(now, 1) {
		s.flying[l.key.sender]++
		picked = append(picked, l.take())
	}
	return picked
}

// eligible reports whether the lane's next row may go, apart from rate and places. After a connection was closed for
// a frame's size its rows go one by one, until the guilty one is found.
func (s *schedule) eligible(l *lane, nowMs int64, open func(mesh.Key) bool) bool {
	alone := len(s.suspects[l.key.sender]) > 0
	return l.ready(nowMs, s.window) && (!alone || s.flying[l.key.sender] == 0) && open(l.key.sender)
}

// wait is how long nothing can be picked unless something happens; ok is false when time alone changes nothing.
func (s *schedule) wait(now time.Time, open func(mesh.Key) bool) (d time.Duration, ok bool) {
	if now.Before(s.resume) {
		return s.resume.Sub(now), true
	}
	next := int64(0)
	nowMs := now.UnixMilli()
	starved := false
	for _, l := range s.queue {
		switch at := l.waiting[0].nextMs; {
		case l.waiting[0].due(nowMs):
			starved = starved || len(s.active) < maxLanes && s.eligible(l, nowMs, open)
		case (next == 0 || at < next) && open(l.key.sender):
			next = at
		}
	}
	for _, l := range s.active {
		starved = starved || s.eligible(l, nowMs, open)
	}
	if next != 0 {
		d, ok = time.Duration(next-nowMs)*time.Millisecond, true
	}
	if tokens := s.bucket.TokensAt(now); starved && tokens < 1 {
		need := time.Duration((1 - tokens) / float64(s.bucket.Limit()) * float64(time.Second))
		if !ok || need < d {
			d, ok = need, true
		}
	}
	return max(d, time.Millisecond), ok
}

// landed takes over how an attempt ended, and returns the rows that go back to pending because of it, if any.
func (s *schedule) landed(now time.Time, a attempt) []attempt {
	l := a.lane
	s.flying[l.key.sender]--
	s.suspect(a)
	if a.verdict == throttled {
		pause := a.retry
		if pause <= 0 {
			pause = time.Duration(float64(time.Second) / float64(s.bucket.Limit()))
		}
		s.resume = now.Add(min(pause, maxBackoff))
	}
	l.landed(a)
	back := l.settle(now.UnixMilli())
	if l.flying == 0 {
		s.release(l)
	}
	return back
}

// suspect keeps account of rows that may have closed their connection by their size.
func (s *schedule) suspect(a attempt) {
	sender := a.lane.key.sender
	switch a.verdict {
	case oversized:
		if s.suspects[sender] == nil {
			s.suspects[sender] = map[int64]bool{}
		}
		s.suspects[sender][a.seq] = true
	case accepted, final, gone:
		if delete(s.suspects[sender], a.seq); len(s.suspects[sender]) == 0 {
			delete(s.suspects, sender)
		}
	case refused, throttled, unanswered, overtaking:
	}
}

// release gives the lane's place to another.
func (s *schedule) release(l *lane) {
	l.active = false
	s.active = slices.DeleteFunc(s.active, func(a *lane) bool { return a == l })
	if len(l.waiting) > 0 {
		s.queue = append(s.queue, l)
		return
	}
	delete(s.lanes, l.key)
	if s.flying[l.key.sender] == 0 {
		delete(s.flying, l.key.sender)
	}
}

// expire removes and returns the waiting rows that were accepted here before a time.
func (s *schedule) expire(before time.Time) []attempt {
	return s.remove(func(l *lane) int {
		n := slices.IndexFunc(l.waiting, func(r ref) bool { return r.enqueuedMs > before.UnixMilli() })
		if n < 0 {
			n = len(l.waiting)
		}
		return n
	})
}

// abandon removes and returns the waiting rows of senders.
func (s *schedule) abandon(which func(mesh.Key) bool) []attempt {
	return s.remove(func(l *lane) int {
		if which(l.key.sender) {
			return len(l.waiting)
		}
		return 0
	})
}

// remove takes the first rows that wait out of each lane, as many as count says.
func (s *schedule) remove(count func(*lane) int) []attempt {
	var gone []attempt
	for _, l := range s.lanes {
		n := count(l)
		for _, r := range l.waiting[:n] {
			gone = append(gone, attempt{ref: r, lane: l})
		}
		l.waiting = l.waiting[n:]
	}
	s.sweep(gone)
	return gone
}

// forget lets rows go that were aborted while they waited. Of one that is under way the claim or the answer finds out.
func (s *schedule) forget(seqs []int64) {
	var gone []attempt
	for _, l := range s.lanes {
		l.waiting = slices.DeleteFunc(l.waiting, func(r ref) bool {
			found := slices.Contains(seqs, r.seq)
			if found {
				gone = append(gone, attempt{ref: r, lane: l})
			}
			return found
		})
	}
	s.sweep(gone)
}

// sweep drops the lanes that have nothing left after rows were taken out of them.
func (s *schedule) sweep(gone []attempt) {
	s.queue = slices.DeleteFunc(s.queue, func(l *lane) bool { return len(l.waiting) == 0 })
	for _, a := range gone {
		if l := a.lane; len(l.waiting) == 0 && !l.active {
			delete(s.lanes, l.key)
		}
	}
}
