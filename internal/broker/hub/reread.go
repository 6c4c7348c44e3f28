package hub

import (
	"cmp"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Reread begins mailboxes anew: what the store gives out of them has changed. What was pushed stays so, and a page that
// is being read is not believed.
func (h *Hub) Reread(now time.Time, which Which) []Effect {
	h.begin()
	var chosen []*box
	for _, b := range h.boxes {
		if which(b) {
			chosen = append(chosen, b)
		}
	}
	slices.SortFunc(chosen, func(a, b *box) int {
		return cmp.Or(cmp.Compare(a.name.Member, b.name.Member), cmp.Compare(a.name.Session, b.name.Session))
	})
	for _, b := range chosen {
		for _, l := range []*lane{&b.urgent, &b.rest} {
			h.memory.fallBehind(l)
			l.after, l.returned = 0, b.loading
		}
		h.pump(now, b)
	}
	return h.out
}

// Which chooses mailboxes for Reread.
type Which func(*box) bool

// OfBoxes are the mailboxes of a member: whom it lets through has changed.
func OfBoxes(member mesh.ID) Which {
	return func(b *box) bool { return b.name.Member == member }
}

// OfSender are the mailboxes in which something of a sender, by its number, waits to be pushed: it is withdrawn.
func OfSender(n int64) Which {
	sent := func(r Row) bool { return r.Sender.N == n }
	return func(b *box) bool {
		return b.loading || slices.ContainsFunc(b.urgent.held, sent) || slices.ContainsFunc(b.rest.held, sent)
	}
}
