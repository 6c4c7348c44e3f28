package hub

import "time"

// hold keeps a row that was just stored, and that nothing but room keeps from being pushed, so that it need not be read
// again. Rows are held in their order, right behind what was pushed of their lane: not while the store has others between.
func (h *Hub) hold(l *lane, r *Row) bool {
	if len(r.Frame) > h.opt.Held-h.held {
		return false
	}
	h.held += len(r.Frame)
	l.held = append(l.held, *r)
	return true
}

// release lets go of what is held of a lane; it is read from the store when its turn comes.
func (h *Hub) release(l *lane) {
	for i := range l.held {
		h.held -= len(l.held[i].Frame)
	}
	l.held = nil
}

// pushHeld pushes what room allows of what is held.
func (h *Hub) pushHeld(now time.Time, b *box) {
	for _, urgent := range []bool{true, false} {
		l := b.lane(urgent)
		for len(l.held) > 0 {
			r := &l.held[0]
			c := b.serving
			if r.N > l.after {
				if c == nil || !c.admits(urgent) || c.room(h.opt) <= 0 {
					break
				}
				h.push(now, c, b, r)
			}
			h.held -= len(r.Frame)
			l.held[0] = Row{}
			l.held = l.held[1:]
		}
	}
}
