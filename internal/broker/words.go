package broker

import (
	"sync"

	"github.com/claudemesh/claudemesh/internal/seal"
)

// words remembers which words of members for their session keys were verified, so that a session that connects again with
// the same word costs one verification less. Whether a word still holds at this time is not its business.
type words struct {
	mu         sync.Mutex
	young, old map[seal.Word]struct{}
}

// maxWords bounds each of two generations; at the bound the older one is forgotten. Only those of members are kept.
const maxWords = 1 << 15

// knows reports whether a word was verified.
func (k *words) knows(w seal.Word) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.young[w]; ok {
		return true
	}
	_, ok := k.old[w]
	if ok {
		k.keep(w)
	}
	return ok
}

// learn remembers a word that was verified, of somebody who is a member; the zero word is none.
func (k *words) learn(w seal.Word) {
	if w == (seal.Word{}) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keep(w)
}

// keep puts a word into the young generation. The lock is held.
func (k *words) keep(w seal.Word) {
	if len(k.young) >= maxWords || k.young == nil {
		k.young, k.old = map[seal.Word]struct{}{}, k.young
	}
	k.young[w] = struct{}{}
}
