package broker

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// pace limits how often each of many may do something, by a bucket that holds a minute's worth. It may be used from any
// goroutine.
type pace[K comparable] struct {
	perMinute int

	mu sync.Mutex
	of map[K]*rate.Limiter
}

// maxPaced bounds the buckets; at the bound all are forgotten, and start full.
const maxPaced = 10_000

func newPace[K comparable](perMinute int) *pace[K] {
	return &pace[K]{perMinute: perMinute, of: map[K]*rate.Limiter{}}
}

// take takes a token. Without one it takes nothing, and returns how long to wait for the next.
func (p *pace[K]) take(who K, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.of[who]
	if !ok {
		if len(p.of) >= maxPaced {
			clear(p.of)
		}
		l = rate.NewLimiter(rate.Limit(float64(p.perMinute)/60), p.perMinute)
		p.of[who] = l
	}
	if l.AllowN(now, 1) {
		return 0
	}
	return untilToken(l, now)
}

// wait is what take would return, and takes nothing.
func (p *pace[K]) wait(who K, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, ok := p.of[who]; ok {
		return untilToken(l, now)
	}
	return 0
}

// untilToken is how long it takes until there is a whole token; 0 when there is one.
func untilToken(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return max(1, time.Duration(math.Ceil(missing/float64(l.Limit())*float64(time.Second))))
}
