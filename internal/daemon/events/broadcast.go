package events

import "sync"

// Broadcast wakes everyone who waits for a change.
type Broadcast struct {
	mu *sync.Mutex
	ch *chan struct{}
}

// NewBroadcast returns one that was not fired.
func NewBroadcast() Broadcast {
	ch := make(chan struct{})
	return Broadcast{mu: &sync.Mutex{}, ch: &ch}
}

// Wait gives a channel that is closed by the next Fire.
func (b Broadcast) Wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *b.ch
}

// Fire wakes them.
func (b Broadcast) Fire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(*b.ch)
	*b.ch = make(chan struct{})
}
