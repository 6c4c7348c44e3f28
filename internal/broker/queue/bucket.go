package queue

import (
	"sync"
	"time"
)

// buckets limits how often each member sends (design D3). The members are those of this process's connections.
type buckets struct {
	perSecond float64
	burst     float64

	mu sync.Mutex
	of map[int64]*bucket // by Member.N
}

type bucket struct {
	tokens float64
	at     time.Time
}

// maxBuckets bounds the map; at the bound the full ones are dropped, which changes nothing for their members.
const maxBuckets = 1 << 14

func newBuckets(perSecond, burst int) *buckets {
	return &buckets{perSecond: float64(perSecond), burst: float64(burst), of: map[int64]*bucket{}}
}

// take takes a token. Without one it returns false and how long to wait for the next.
func (b *buckets) take(member int64, now time.Time) (bool, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.of[member]
	if k == nil {
		if len(b.of) >= maxBuckets {
			b.sweep(now)
		}
		k = &bucket{tokens: b.burst, at: now}
		b.of[member] = k
	}
	b.fill(k, now)
	if k.tokens >= 1 {
		k.tokens--
		return true, 0
	}
	return false, time.Duration((1 - k.tokens) / b.perSecond * float64(time.Second))
}

// giveBack returns the token of a request that was not a new message.
func (b *buckets) giveBack(member int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k := b.of[member]; k != nil {
		k.tokens = min(b.burst, k.tokens+1)
	}
}

// fill adds what time has brought. A clock that went back brings nothing.
func (b *buckets) fill(k *bucket, now time.Time) {
	k.tokens = min(b.burst, k.tokens+max(0, now.Sub(k.at).Seconds())*b.perSecond)
	k.at = now
}

func (b *buckets) sweep(now time.Time) {
	for member, k := range b.of {
		if b.fill(k, now); k.tokens >= b.burst {
			delete(b.of, member)
		}
	}
}
