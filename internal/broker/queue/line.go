package queue

import (
	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// line is a connection that the hub knows.
type line struct {
	conn  hub.Conn
	out   Outbound
	boxes []*address // its member's mailbox, and its session's

	receipts [][]byte // that wait for those before them to be written
	credit   int      // how many may be sent at once
}

// attach registers a connection that the directory admitted.
func (l *loop) attach(n *line, welcome []byte) {
	effects := l.hub.Attach(l.now(), n.conn)
	l.lines[n.conn.ID] = n
	welcomed := n.out.Send(welcome)
	l.came(n, l.replaced(effects))
	l.watch.Entered(n.conn, n.out)
	l.do(effects)
	if !welcomed {
		l.cut(n.conn.ID)
	}
}

func (l *loop) detach(id hub.ConnID, deliberate bool) {
	effects := l.hub.Detach(l.now(), id)
	n := l.forget(id)
	l.do(effects)
	if n != nil {
		l.left(n, deliberate)
		l.watch.Left(n.conn, deliberate)
	}
}

// forget drops a connection that the hub has forgotten, and returns it; nil when there is none.
func (l *loop) forget(id hub.ConnID) *line {
	n := l.lines[id]
	if n == nil {
		return nil
	}
	delete(l.lines, id)
	for _, a := range n.boxes {
		l.dir.leave(a)
	}
	return n
}

// cut ends a connection that does not take what it is sent. Its queue is kept.
func (l *loop) cut(id hub.ConnID) {
	effects := l.hub.Detach(l.now(), id)
	n := l.forget(id)
	if n != nil {
		n.out.Close(mesh.CloseSlowConsumer, string(mesh.SlowConsumer))
	}
	l.do(effects)
	if n != nil {
		l.left(n, false)
		l.watch.Left(n.conn, false)
	}
}

const (
	receiptCredit = 256     // receipts that wait in an Outbound
	maxBacklog    = 1 << 14 // receipts that wait here; a client that lets it come so far is cut, and asks again
)

// tell sends a receipt. A message to everyone brings more of them at once than an Outbound holds, so one of each half
// of the credit reports when it was written.
func (l *loop) tell(n *line, frame []byte) {
	n.receipts = append(n.receipts, frame)
	if !l.flush(n) || len(n.receipts) > maxBacklog {
		l.cut(n.conn.ID)
	}
}

// flush sends what the credit allows; false when the connection does not take it.
func (l *loop) flush(n *line) bool {
	for n.credit > 0 && len(n.receipts) > 0 {
		frame := n.receipts[0]
		if n.receipts = n.receipts[1:]; len(n.receipts) == 0 {
			n.receipts = nil
		}
		n.credit--
		ok := false
		if n.credit%(receiptCredit/2) != 0 {
			ok = n.out.Send(frame)
		} else {
			ok = n.out.SendThen(frame, func() { l.in.post(func() { l.refill(n) }) })
		}
		if !ok {
			return false
		}
	}
	return true
}

// refill goes on after half of the credit was written.
func (l *loop) refill(n *line) {
	n.credit += receiptCredit / 2
	if l.lines[n.conn.ID] == n && !l.flush(n) {
		l.cut(n.conn.ID)
	}
}
