package attachment

import (
	"context"
	"sync"

	"github.com/claudemesh/claudemesh/internal/logkey"
)

// mention is what a voice is about to say while nobody waits for it.
type mention struct {
	mu      sync.Mutex
	next    *Wish // nil: nothing more
	telling bool
}

// Mention is Speak for who waits for nothing, as the host whose hook tells a status: a broker that is slow, or does not
// answer, keeps nobody. Of changes that come meanwhile the last counts. A mesh that is about to be left hears nothing.
func (v *Voice) Mention(change Wish) {
	m := &v.mention
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next != nil {
		change = m.next.with(change)
	}
	m.next = &change
	if !m.telling {
		m.telling = v.at.Sessions.later(v.tellNext)
	}
}

// tellNext says what was mentioned, until there is no more.
func (v *Voice) tellNext(ctx context.Context) error {
	for {
		change := v.mention.take()
		if change == nil {
			return nil
		}
		if _, err := v.Speak(ctx, *change, false); err != nil && ctx.Err() == nil {
			v.at.opt.Log.Info("status not told", logkey.Mesh, v.at.Mesh.Slug, logkey.Err, err) // it is told anew in a while
		}
	}
}

// take gives what is to be said next; nil ends the telling.
func (m *mention) take() *Wish {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.next
	m.next, m.telling = nil, next != nil
	return next
}
