package queue

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// bequest leaves what waits for a session that said goodbye, and was meant for many, to its member: as if it had been sent
// a moment later (design D1). What was meant for the session itself goes on to wait for it.
type bequest struct {
	from, heir *address
	at         time.Time
	moved      bool // after apply: the heir has something new
}

func (b *bequest) apply(tx *sqlite.Tx, l *ledger) error {
	if err := (&unfold{box: &b.from.n}).apply(tx, l); err != nil {
		return err
	}
	left, err := store.Bequeath(tx, b.from.n, b.at)
	for _, d := range left {
		l.release(b.from.mesh, d)
		d.To = b.heir.n
		l.charge(b.from.mesh, d)
	}
	b.moved = len(left) > 0
	return err
}

// done has the member read what its session left.
func (b *bequest) done(l *loop) {
	if b.moved {
		l.do(l.hub.Reread(l.now(), hub.OfBoxes(b.heir.box.Member)))
	}
}

// bequeath ends the mailbox of a session for what is meant for many.
func (n *line) bequeath(l *loop) {
	l.writer.addLazy(&bequest{from: n.boxes[len(n.boxes)-1], heir: n.boxes[0], at: l.now()})
}

// late bequeaths the copies of a message whose recipients were looked for before one of them said goodbye.
func (p *parted) late(l *loop, a *accept) {
	if len(p.ended) == 0 || a.to.others == nil {
		return
	}
	for _, to := range a.placed {
		if n := p.ended[to.n]; n != nil {
			n.bequeath(l)
		}
	}
}

// settle forgets who said goodbye when no message is under way.
func (p *parted) settle(l *loop) {
	if len(l.slots) == 0 {
		clear(p.ended)
	}
}
