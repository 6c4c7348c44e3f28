package queue

import "sync"

// inbox holds what the loop has still to do, in order. It has no bound of its own: what is in it was admitted by
// Queue.slots, is one per connection, or answers something of the loop's.
type inbox struct {
	mu     sync.Mutex
	items  []func()
	closed bool
	wake   chan struct{} // holds one token while there may be items
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// post adds an item; false when the loop has ended.
func (b *inbox) post(f func()) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	b.items = append(b.items, f)
	b.mu.Unlock()
	signal(b.wake)
	return true
}

// take empties the inbox; spare is reused for what comes next.
func (b *inbox) take(spare []func()) []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	b.items = spare[:0]
	return items
}

// closeIfEmpty ends the inbox unless something is in it.
func (b *inbox) closeIfEmpty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = len(b.items) == 0
	return b.closed
}

// signal leaves a token in a channel of one.
func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
