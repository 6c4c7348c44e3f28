package queue

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
)

// parted are the sessions whose connection broke a moment ago, with what is to be stored of that. Nearly all of them
// come back as they were, and then nothing is.
type parted struct {
	of      map[store.Box]*seen
	ended   map[store.Box]estate // who said goodbye, while a message may be under way that did not know of it
	seeking atomic.Int64         // messages whose recipients are being looked for, until they have a slot
	none    bool                 // nobody comes back any more: Run is ending
}

const (
	partedFor = 10 * time.Second // a process that is killed loses as much of when a session was last seen
	maxParted = 1 << 15          // at the bound all are stored, and of those who said goodbye the next is not remembered
)

// came stores that a peer is connected, unless the store has that already: was is the line that it replaces, or nil.
func (l *loop) came(n, was *line) {
	own := n.boxes[len(n.boxes)-1].n
	groups := seats(n.conn.Groups)
	began := n.conn.Go || n.conn.SessionKey != "" || len(n.conn.Groups) > 0 // an old daemon says nothing of groups
	last := l.parted.of[own]
	delete(l.parted.of, own)
	delete(l.parted.ended, own)
	if last == nil && was != nil && own.Session != 0 && own == was.boxes[len(was.boxes)-1].n {
		last = &seen{groups: seats(was.conn.Groups)}
	}
	if last != nil && slices.Equal(last.groups, groups) {
		return
	}
	l.writer.addLazy(&seen{at: l.now(), member: n.conn.Member, box: own, groups: groups, began: began})
}

// left stores that a peer was connected until now: in a moment, where it may come back. Of one that was replaced there is
// nothing to store.
func (l *loop) left(n *line, deliberate bool) {
	own := n.boxes[len(n.boxes)-1]
	s := &seen{at: l.now(), member: n.conn.Member, box: own.n, groups: seats(n.conn.Groups)}
	switch {
	case own.n.Session == 0 || l.parted.none: // several connections may share the mailbox of a member
		l.writer.addLazy(s)
	case l.dir.online(own.box):
	case deliberate:
		l.writer.addLazy(s)
		n.estate().leave(l)
		if len(l.parted.ended) < maxParted {
			l.parted.ended[own.n] = n.estate()
		}
	default:
		l.parted.of[own.n] = s
		if len(l.parted.of) >= maxParted {
			l.storeParted(l.now())
		}
	}
}

// storeParted stores of whom did not come back what parted before a time.
func (l *loop) storeParted(before time.Time) {
	for box, s := range l.parted.of {
		if !s.at.After(before) {
			delete(l.parted.of, box)
			l.writer.addLazy(s)
		}
	}
}

// replaced finds the line that one that was just attached takes the place of; nil for none.
func (l *loop) replaced(effects []hub.Effect) *line {
	for i := range effects {
		if effects[i].Kind == hub.Close {
			return l.lines[effects[i].Conn]
		}
	}
	return nil
}
