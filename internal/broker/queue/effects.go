package queue

import (
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/logkey"
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
			l.writer.addLazy(&finish{row: e.Row, to: l.dir.connected(e.Box), outcome: outcome(e.Outcome), at: l.now()})
		case hub.Close:
			if n := l.forget(e.Conn); n != nil {
				n.out.Close(e.Code, e.Reason)
				l.watch.Left(n.conn, true)
			}
		}
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
	if !e.Confirm {
		return n.out.Send(e.Row.Frame)
	}
	id, row := e.Conn, e.Row.N
	return n.out.SendThen(e.Row.Frame, func() {
		l.in.post(func() { l.do(l.hub.Written(l.now(), id, row)) })
	})
}

// committed goes on with ops after their group is on the disk, or was refused: first all answers, then the pushes and
// the receipts.
func (l *loop) committed(ops []op, err error) {
	defer l.writer.pending.Add(-int64(len(ops)))
	if ill := err != nil; ill != l.ill {
		l.ill = ill
		if ill {
			l.log.Error("messages are refused: a group was not stored", slog.Int(logkey.Count, len(ops)), slog.Any(logkey.Err, err))
		} else {
			l.log.Info("messages are stored again")
		}
	}
	var placed []hub.Placed
	for _, o := range ops {
		if a, ok := o.(*accept); ok {
			placed = l.answer(a, err, placed)
		}
	}
	if len(placed) > 0 {
		l.do(l.hub.Insert(l.now(), placed))
	}
	for _, o := range ops {
		switch o := o.(type) {
		case *finish:
			l.finished(o, err)
		case *accept:
			for _, f := range o.rejected {
				l.finished(f, err)
			}
		case *task:
			o.finish(err)
		case barrier:
			o.done <- err
		case *unfold:
			o.done <- err
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
	row := a.row()
	for _, to := range l.dir.permitted(a) {
		placed = append(placed, hub.Placed{Box: to.box, Row: row})
	}
	if a.ack.Queued && !a.ack.Duplicate && len(a.placed) == 0 {
		l.spent.add(a.msg.N)
	}
	return placed
}

// finished lets go of a copy and sends its receipt.
func (l *loop) finished(f *finish, err error) {
	l.do(l.hub.Settled(f.to.box, f.row.N, err == nil))
	if err != nil || !f.done {
		return
	}
	l.spent.add(f.row.N)
	l.countMet(f.why)
	if f.outcome == store.Expired {
		l.count(config.BoundMessageTTL, 1)
	}
	if f.receipt == 0 {
		return
	}
	watchers := l.hub.Watchers(f.row.Sender.Member)
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
