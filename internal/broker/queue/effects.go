package queue

import (
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
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
func (q *Queue) do(effects []hub.Effect) {
	var slow []hub.ConnID
	for i := range effects {
		e := &effects[i]
		switch e.Kind {
		case hub.Push:
			if !q.push(e) {
				slow = append(slow, e.Conn)
			}
		case hub.Load:
			q.loads.add(load{to: q.dir.connected(e.Box), box: e.Box, page: e.Page})
		case hub.Finish:
			q.writer.addLazy(&finish{row: e.Row, to: q.dir.connected(e.Box), outcome: outcome(e.Outcome), at: q.now()})
		case hub.Close:
			if l := q.forget(e.Conn); l != nil {
				l.out.Close(e.Code, e.Reason)
			}
		}
	}
	for _, id := range slow {
		q.cut(id)
	}
}

// push sends a row; false when its connection does not take it.
func (q *Queue) push(e *hub.Effect) bool {
	l := q.lines[e.Conn]
	if l == nil {
		return true // cut a moment ago
	}
	if !e.Confirm {
		return l.out.Send(e.Row.Frame)
	}
	id, n := e.Conn, e.Row.N
	return l.out.SendThen(e.Row.Frame, func() {
		q.in.post(func() { q.do(q.hub.Written(q.now(), id, n)) })
	})
}

// committed goes on with ops after their group is on the disk, or was refused: first all answers, then the pushes and
// the receipts.
func (q *Queue) committed(ops []op, err error) {
	defer q.writer.pending.Add(-int64(len(ops)))
	if ill := err != nil; ill != q.ill {
		q.ill = ill
		if ill {
			q.log.Error("messages are refused: a group was not stored", slog.Int(logkey.Count, len(ops)), slog.Any(logkey.Err, err))
		} else {
			q.log.Info("messages are stored again")
		}
	}
	var placed []hub.Placed
	for _, o := range ops {
		if a, ok := o.(*accept); ok {
			placed = q.answer(a, err, placed)
		}
	}
	if len(placed) > 0 {
		q.do(q.hub.Insert(q.now(), placed))
	}
	for _, o := range ops {
		switch o := o.(type) {
		case *finish:
			q.finished(o, err)
		case *accept:
			for _, f := range o.rejected {
				q.finished(f, err)
			}
		case barrier:
			o.done <- err
		}
	}
}

// answer tells a sender what became of its message and adds its copies to placed.
func (q *Queue) answer(a *accept, err error, placed []hub.Placed) []hub.Placed {
	q.leave()
	if err != nil {
		q.drop(a)
		a.rejected = nil
		a.answer(refused(a.frameID, refusal(err)), nil)
		return placed
	}
	if !a.ack.Queued || a.ack.Duplicate {
		q.drop(a)
	}
	a.answer(a.ack, nil)
	row := a.row()
	for _, to := range a.placed {
		placed = append(placed, hub.Placed{Box: to.box, Row: row})
	}
	if a.ack.Queued && !a.ack.Duplicate && len(a.placed) == 0 {
		q.spent.add(a.msg.N)
	}
	return placed
}

// finished lets go of a copy and sends its receipt.
func (q *Queue) finished(f *finish, err error) {
	q.do(q.hub.Settled(f.to.box, f.row.N, err == nil))
	if err != nil || !f.done {
		return
	}
	q.spent.add(f.row.N)
	if f.receipt == 0 {
		return
	}
	watchers := q.hub.Watchers(f.row.Sender.Member)
	if len(watchers) == 0 {
		return
	}
	frame, err := f.frame()
	if err != nil {
		q.log.Error("encode receipt", slog.String(logkey.MessageID, string(f.row.ID)), slog.Any(logkey.Err, err))
		return
	}
	for _, id := range watchers {
		if l := q.lines[id]; l != nil {
			q.tell(l, frame)
		}
	}
}
