package queue

const (
	receiptCredit = 256     // receipts that wait in an Outbound
	maxBacklog    = 1 << 14 // receipts that wait here; a client that lets it come so far is cut, and asks again
)

// tell sends a receipt. A message to everyone brings more of them at once than an Outbound holds, so one of each half
// of the credit reports when it was written.
func (q *Queue) tell(l *line, frame []byte) {
	l.receipts = append(l.receipts, frame)
	if !q.flush(l) || len(l.receipts) > maxBacklog {
		q.cut(l.conn.ID)
	}
}

// flush sends what the credit allows; false when the connection does not take it.
func (q *Queue) flush(l *line) bool {
	for l.credit > 0 && len(l.receipts) > 0 {
		frame := l.receipts[0]
		if l.receipts = l.receipts[1:]; len(l.receipts) == 0 {
			l.receipts = nil
		}
		l.credit--
		ok := false
		if l.credit%(receiptCredit/2) != 0 {
			ok = l.out.Send(frame)
		} else {
			ok = l.out.SendThen(frame, func() { q.in.post(func() { q.refill(l) }) })
		}
		if !ok {
			return false
		}
	}
	return true
}

// refill goes on after half of the credit was written.
func (q *Queue) refill(l *line) {
	l.credit += receiptCredit / 2
	if q.lines[l.conn.ID] == l && !q.flush(l) {
		q.cut(l.conn.ID)
	}
}
