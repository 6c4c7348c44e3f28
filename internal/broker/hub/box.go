package hub

import (
	"cmp"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// box is a mailbox with a connection. Its rows are in the store; the box knows which of them were pushed.
type box struct {
	name    Mailbox
	conns   []*conn // byClaim
	serving *conn   // the one of conns that is pushed; nil without any
	former  *conn   // the one that was pushed before, while some of it is on its way; nothing may overtake that

	urgent, rest lane
	flying       map[int64]bool // pushed or being finished, with whether urgent
	loading      bool           // a page is being read
	asked        Page           // what was asked for
	settled      []int64        // finished while it is read: leave flying after it
}

// lane is one of the two classes of rows that a status lets through or holds. Rows up to after are flying or
// final. It is behind while the store may have rows over after that wait.
type lane struct {
	after  int64
	behind bool
	held   []Row // stored since, in memory until there is room; none while behind

	// While a page is being read: a row was stored, or came back, that the page may not show.
	missed, returned bool
}

func (b *box) lane(urgent bool) *lane {
	if urgent {
		return &b.urgent
	}
	return &b.rest
}

// insert pushes a row that was just stored, if nothing waits before it, or leaves it to the next page.
func (h *Hub) insert(now time.Time, b *box, r *Row) {
	l := b.lane(r.Urgent)
	if r.N <= l.after {
		return // a page had it already
	}
	c := b.serving
	if c != nil && r.Frame != nil && !l.behind && !b.turning() && c.admits(r.Urgent) {
		if len(l.held) == 0 && c.room(h.opt) > 0 {
			h.push(now, c, b, r)
			return
		}
		if h.memory.hold(l, r) {
			return
		}
	}
	h.memory.fallBehind(l)
	l.missed = b.loading
	h.pump(now, b)
}

// pumpConn looks whether the mailboxes of c can go on. Their order changes, so that none waits for ever.
func (h *Hub) pumpConn(now time.Time, c *conn) {
	for i := range c.boxes {
		h.pump(now, c.boxes[(i+c.turn)%len(c.boxes)])
	}
	c.turn++
}

// pump pushes what is held of b, and asks for a page if rows wait in the store, its connection may have them, and
// there is room for a page that is worth a read.
func (h *Hub) pump(now time.Time, b *box) {
	c := b.serving
	if c == nil || b.turning() {
		return // the end of what flies to the former connection comes back here
	}
	b.pushHeld(now, h)
	if b.loading {
		return
	}
	rest := b.rest.behind && c.admits(false)
	if !rest && !b.urgent.behind {
		return
	}
	room := c.room(h.opt)
	if room <= 0 || room < h.opt.Rows/2 && len(c.flight) > 0 {
		return // an acknowledgement comes back here
	}
	after := int64(noRow)
	if b.urgent.behind {
		after = b.urgent.after
	}
	if rest {
		after = min(after, b.rest.after)
	}
	b.loading = true
	b.urgent.missed, b.urgent.returned, b.rest.missed, b.rest.returned = false, false, false, false
	b.asked = Page{After: after, UrgentOnly: !rest, Limit: room}
	h.out = append(h.out, Effect{Kind: Load, Box: b.name, Page: b.asked})
}

// loaded pushes a page. What cannot be pushed now holds back all after it in its lane; so does a row that came
// back meanwhile, which the page may not show.
func (h *Hub) loaded(now time.Time, b *box, rows []Row, more bool) {
	b.loading = false
	stopped := map[bool]bool{true: b.urgent.returned, false: b.rest.returned}
	for i := range rows {
		r := &rows[i]
		l := b.lane(r.Urgent)
		if r.N <= l.after || stopped[r.Urgent] {
			continue
		}
		if _, flies := b.flying[r.N]; flies {
			l.after = r.N
			continue
		}
		if c := b.serving; c != nil && !b.turning() && c.admits(r.Urgent) && c.room(h.opt) > 0 {
			h.push(now, c, b, r)
			continue
		}
		stopped[r.Urgent] = true
	}
	for _, urgent := range []bool{true, false} {
		if stopped[urgent] || !urgent && b.asked.UrgentOnly {
			continue
		}
		l := b.lane(urgent)
		if more {
			l.after = max(l.after, rows[len(rows)-1].N)
		} else {
			l.behind = l.missed
		}
	}
	b.settle()
	h.pump(now, b)
	h.prune(b)
}

// push puts a row on its way.
func (h *Hub) push(now time.Time, c *conn, b *box, r *Row) {
	l := lease{box: b, row: *r, bytes: len(r.Frame)}
	l.row.Frame = nil
	if c.Lease {
		l.until = now.Add(h.opt.Lease)
	}
	c.flight = append(c.flight, l)
	c.bytes += l.bytes
	b.flying[r.N] = r.Urgent
	b.lane(r.Urgent).after = r.N
	h.out = append(h.out, Effect{Kind: Push, Conn: c.ID, Box: b.name, Row: *r, Confirm: !c.Lease})
}

// giveBack makes a pushed row wait again. The rows after it that fly are known as such, so the lane can begin before it.
func (b *box) giveBack(m *memory, n int64) {
	urgent, ok := b.flying[n]
	if !ok {
		return
	}
	delete(b.flying, n)
	l := b.lane(urgent)
	l.after = min(l.after, n-1)
	m.fallBehind(l)
	l.returned = b.loading
}

// settle forgets what was finished while a page was read.
func (b *box) settle() {
	for _, n := range b.settled {
		delete(b.flying, n)
	}
	b.settled = b.settled[:0]
}

// choose picks the connection that is pushed, the one with the best claim.
func (b *box) choose() {
	if !b.turning() {
		b.former = b.serving
	}
	b.serving = nil
	if n := len(b.conns); n > 0 {
		b.serving = b.conns[n-1]
	}
}

// byClaim orders the connections of a mailbox, the one that is pushed last: a member's own mailbox goes to one of our
// daemons, which shows it to all its sessions, else to the newest session, else to any (design D1).
func byClaim(a, b *conn) int { return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.ID, b.ID)) }

// turning reports whether rows are on their way to another connection than the one that is pushed now. A recipient has
// both lines to one inbox, and reads them in any order.
func (b *box) turning() bool {
	if b.former != nil && (b.former == b.serving || !b.former.carries(b)) {
		b.former = nil
	}
	return b.former != nil
}

// carries reports whether rows of b were pushed to c and not acknowledged.
func (c *conn) carries(b *box) bool {
	return slices.ContainsFunc(c.flight, func(l lease) bool { return l.box == b })
}

// rank orders the connections of a member by their claim to its own mailbox.
func (c *conn) rank() int {
	switch {
	case c.Role == mesh.ControlPlane && c.Go:
		return 2
	case c.Role == mesh.SessionRole:
		return 1
	}
	return 0
}
