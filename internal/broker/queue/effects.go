package queue

import (
	"log/slog"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// outcome translates what the hub decides into what is stored.
func outcome(o hub.Outcome) store.Outcome {
	if o == hub.HandedOver {
		return store.Written
	}
	return store.Delivered
}

// do performs effects. They are valid until the hub's next input, so what makes a new one waits for the end.
func (l *loop) do(effects []hub.Effect) {
	var slow []hub.ConnID
	var ends []op
	var now time.Time
	for i := range effects {
		e := &effects[i]
		switch e.Kind {
		case hub.Push:
			if !l.push(e) {
				slow = append(slow, e.Conn)
			}
		case hub.Load:
			l.drain.add(load{to: l.dir.connected(e.Box), box: e.Box, page: e.Page})
		case hub.Finish:
			if ends == nil {
				ends, now = make([]op, 0, len(effects)-i), l.now()
			}
			ends = append(ends, &finish{row: e.Row, to: l.dir.connected(e.Box), outcome: outcome(e.Outcome), at: now})
		case hub.Close:
			if n := l.forget(e.Conn); n != nil {
				n.out.Close(e.Code, e.Reason)
				l.left(n, true)
				l.watch.Left(n.conn, true)
			}
		}
	}
	if len(ends) > 0 {
		l.writer.addLazy(ends...)
	}
	for _, id := range slow {
		l.cut(id)
	}
}

// push sends a row; false when its connection does not take it.
func (l *loop) push(e *hub.Effect) bool {
	n := l.lines[e.Conn]
	if n == nil {
		return true // cut a moment ago
	}
	frame := e.Row.Frame
	if e.Box.Session == "" && n.conn.SessionKey != "" && n.conn.Go {
		frame = protocol.OverSession(frame)
	}
	if !e.Confirm {
		return n.out.Send(frame)
	}
	id, row := e.Conn, e.Row.N
	return n.out.SendThen(frame, func() {
		l.in.post(func() { l.do(l.hub.Written(l.now(), id, row)) })
	})
}

// committed goes on with ops after their group is on the disk, or was refused: first all answers, then the pushes and
// the receipts.
func (l *loop) committed(ops []op, err error) {
	defer l.writer.pending.Add(-int64(len(ops)))
	l.faults.writes.note(l.now(), l.log, err)
	var placed []hub.Placed
	for _, o := range ops {
		if a, ok := o.(*accept); ok {
			placed = l.answer(a, err, placed)
		}
	}
	if len(placed) > 0 {
		l.do(l.hub.Insert(l.now(), placed))
	}
	l.finished(ops, err)
	for _, o := range ops {
		switch o := o.(type) {
		case *task:
			o.finish(err)
		case barrier:
			o.done <- err
		case *unfold:
			o.done <- err
		case *bequest:
			o.done(l)
		}
	}
}

// answer tells a sender what became of its message and adds its copies to placed.
func (l *loop) answer(a *accept, err error, placed []hub.Placed) []hub.Placed {
	l.leave()
	if err != nil {
		a.refund()
		a.rejected = nil
		a.answer(refused(a.frameID, refusal(err)), nil)
		return placed
	}
	if !a.ack.Queued || a.ack.Duplicate {
		a.refund()
	}
	if !a.ack.Queued {
		l.countMet(a.refusal)
	}
	a.answer(a.ack, nil)
	l.parted.late(l, a)
	row := a.row()
	placed = slices.Grow(placed, len(a.placed))
	for _, to := range l.dir.permitted(a) {
		placed = append(placed, hub.Placed{Box: to.box, Row: row})
	}
	if a.ack.Queued && !a.ack.Duplicate && len(a.placed) == 0 {
		l.spent.add(a.msg.N)
	}
	return placed
}

// finished lets go of the copies that ended in a group, and sends their receipts.
func (l *loop) finished(ops []op, err error) {
	var all []*finish
	for _, o := range ops {
		switch o := o.(type) {
		case *finish:
			all = append(all, o)
		case *accept:
			all = append(all, o.rejected...)
		case *bequest:
			all = append(all, o.had...)
		}
	}
	rows := make([]hub.Ended, len(all))
	for i, f := range all {
		rows[i] = hub.Ended{Box: f.to.box, N: f.row.N}
	}
	l.do(l.hub.SettledAll(rows, err == nil))
	if err != nil {
		return
	}
	var watchers []hub.ConnID
	var of mesh.ID
	for _, f := range all {
		if !f.done {
			continue
		}
		if !f.more {
			l.spent.add(f.row.N)
		}
		l.countMet(f.why)
		if f.outcome == store.Expired {
			l.count(config.BoundMessageTTL, 1)
		}
		if f.receipt == 0 {
			continue
		}
		if of != f.row.Sender.Member {
			of, watchers = f.row.Sender.Member, l.hub.Watchers(f.row.Sender.Member)
		}
		l.prove(f, watchers)
	}
}

// prove sends a receipt.
func (l *loop) prove(f *finish, watchers []hub.ConnID) {
	if len(watchers) == 0 {
		return
	}
	frame, err := f.frame()
	if err != nil {
		l.log.Error("encode receipt", slog.String(logkey.MessageID, string(f.row.ID)), slog.Any(logkey.Err, err))
		return
	}
	for _, id := range watchers {
		if n := l.lines[id]; n != nil {
			l.tell(n, frame)
		}
	}
}
