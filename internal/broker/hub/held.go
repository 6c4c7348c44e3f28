package hub

import "time"

// memory bounds the frames that wait for room, in bytes over all mailboxes.
type memory struct{ most, used int }

// hold keeps a row that was just stored, and that nothing but room keeps from being pushed, so that it need not be read
// again. Rows are held in their order, right behind what was pushed of their lane: not while the store has others between.
func (m *memory) hold(l *lane, r *Row) bool {
	if len(r.Frame) > m.most-m.used {
		return false
	}
	m.used += len(r.Frame)
	l.held = append(l.held, *r)
	return true
}

// first takes the first held row of a lane.
func (m *memory) first(l *lane) Row {
	r := l.held[0]
	m.used -= len(r.Frame)
	l.held[0] = Row{}
	l.held = l.held[1:]
	return r
}

// fallBehind leaves what waits of a lane to the store.
func (m *memory) fallBehind(l *lane) {
	for i := range l.held {
		m.used -= len(l.held[i].Frame)
	}
	l.held, l.behind = nil, true
}

// pushHeld pushes what room allows of what is held.
func (b *box) pushHeld(now time.Time, h *Hub) {
	for _, urgent := range []bool{true, false} {
		l, c := b.lane(urgent), b.serving
		for len(l.held) > 0 && c.admits(urgent) && c.room(h.opt) > 0 {
			if r := h.memory.first(l); r.N > l.after {
				h.push(now, c, b, &r)
			}
		}
	}
}
