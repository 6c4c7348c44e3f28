package queue

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// line is a connection that the hub knows.
type line struct {
	conn  hub.Conn
	out   Outbound
	boxes []*address // its member's mailbox, and its session's

	receipts [][]byte // that wait for those before them to be written
	credit   int      // how many may be sent at once
}

// Attach registers an authenticated connection: welcome (the hello_ack) is the first frame of its buffer, then the
// mailbox drains (design B5). A connection with the same session key, or without one but with the same member and
// session id, is closed with 1000 session_replaced and needs no Detach any more. The session key was stored with
// store.ClaimSession before. After an error the connection is not registered.
func (q *Queue) Attach(ctx context.Context, c hub.Conn, out Outbound, welcome []byte) error {
	boxes, err := q.boxesOf(ctx, c)
	if err != nil {
		return err
	}
	if err := q.enter(ctx); err != nil {
		return err
	}
	defer q.leave()
	// Without ctx: it would leave open whether the connection is registered.
	_, err = ask(context.WithoutCancel(ctx), q, func() bool {
		q.attach(&line{conn: c, out: out, boxes: boxes, credit: receiptCredit}, welcome)
		return true
	})
	return err
}

// boxesOf finds the mailboxes of a connection.
func (q *Queue) boxesOf(ctx context.Context, c hub.Conn) ([]*address, error) {
	member, err := q.dir.refresh(ctx, c.Mesh, c.MemberKey)
	if err != nil {
		return nil, gone(err)
	}
	if c.SessionKey == "" {
		return []*address{member}, nil
	}
	own, err := q.dir.refresh(ctx, c.Mesh, c.SessionKey)
	if err != nil {
		return nil, gone(err)
	}
	if own.box != (hub.Mailbox{Member: c.Member, Session: c.SessionKey}) {
		return nil, mesh.Errorf(mesh.BadSessionKey, "this session key is another member's")
	}
	return []*address{member, own}, nil
}

func (q *Queue) attach(l *line, welcome []byte) {
	effects := q.hub.Attach(l.conn)
	q.lines[l.conn.ID] = l
	for _, a := range l.boxes {
		q.dir.join(a)
	}
	welcomed := l.out.Send(welcome)
	q.note(l)
	q.do(effects)
	if !welcomed {
		q.cut(l.conn.ID)
	}
}

// Detach forgets a connection that is over; what it had not acknowledged is pushed to the next one. Deliberate says
// that the client said bye: there is no lease yet that this would end early. Detaching twice, or one that was
// replaced or closed from here, does nothing.
func (q *Queue) Detach(id hub.ConnID, deliberate bool) {
	q.in.post(func() { q.detach(id) })
}

func (q *Queue) detach(id hub.ConnID) {
	effects := q.hub.Detach(id)
	q.forget(id)
	q.do(effects)
}

// forget drops a connection that the hub has forgotten.
func (q *Queue) forget(id hub.ConnID) *line {
	l := q.lines[id]
	if l == nil {
		return nil
	}
	delete(q.lines, id)
	for _, a := range l.boxes {
		q.dir.leave(a)
	}
	q.note(l)
	return l
}

// cut ends a connection that does not take what it is sent. Its queue is kept.
func (q *Queue) cut(id hub.ConnID) {
	effects := q.hub.Detach(id)
	if l := q.forget(id); l != nil {
		l.out.Close(mesh.CloseSlowConsumer, string(mesh.SlowConsumer))
	}
	q.do(effects)
}

// note stores that a peer is, or was until now, connected.
func (q *Queue) note(l *line) {
	s := &seen{at: q.now(), member: l.conn.Member, memberN: l.boxes[0].n.Member, groups: l.conn.Groups}
	if own := l.boxes[len(l.boxes)-1]; own.n.Session != 0 {
		s.session = own.n.Session
	}
	q.writer.addLazy(s)
}

// SetStatus notes what a peer is doing, which decides what it is pushed (wire 5).
func (q *Queue) SetStatus(id hub.ConnID, status mesh.Status) {
	q.in.post(func() { q.do(q.hub.SetStatus(id, status)) })
}

// ClientAck notes that a pushed message is on the recipient's disk (wire 3.4). It clears only what this connection
// was pushed. There is no answer.
func (q *Queue) ClientAck(ctx context.Context, s *session.Session, req protocol.ClientAckRequest) (wire.None, error) {
	if err := q.enter(ctx); err != nil {
		return wire.None{}, err
	}
	if !q.in.post(func() {
		q.leave()
		q.do(q.hub.Ack(s.Conn, req.BrokerMessageID, req.ClientMessageID))
	}) {
		q.leave()
	}
	return wire.None{}, nil
}

// Connections lists the connections of a mesh, oldest first. The slice is the caller's; what its rows point to is not
// changed by anyone.
func (q *Queue) Connections(ctx context.Context, meshID mesh.ID) ([]hub.Conn, error) {
	return ask(ctx, q, func() []hub.Conn { return q.hub.Conns(meshID) })
}

// CloseMember closes all connections of a member, and forgets what is remembered of it. It is called after the
// membership ended in the store.
func (q *Queue) CloseMember(meshID, member mesh.ID, code mesh.CloseCode, reason string) {
	q.dir.forget()
	q.in.post(func() { q.do(q.hub.CloseMember(meshID, member, code, reason)) })
}
