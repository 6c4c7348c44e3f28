package broker

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/broker/grant"
	"github.com/claudemesh/claudemesh/internal/broker/group"
	"github.com/claudemesh/claudemesh/internal/broker/ownership"
	"github.com/claudemesh/claudemesh/internal/broker/roster"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/skill"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// bind registers the handler of every frame.
func (s *server) bind() {
	m, guard := s.mux, s.queue.Guard()
	m.Admit = s.doors.admit
	wire.Handle(m, protocol.Hello, again[protocol.HelloRequest])
	wire.Handle(m, protocol.SessionHello, again[protocol.SessionHelloRequest])
	wire.Handle(m, protocol.Bye, s.bye)
	wire.HandleAsync(m, protocol.Send, s.send)
	wire.Handle(m, protocol.ClientAck, s.queue.ClientAck)
	wire.Handle(m, protocol.MessageStatus, s.queue.MessageStatus)
	wire.Handle(m, protocol.ReceiptsSince, s.queue.ReceiptsSince)
	wire.Handle(m, protocol.TellReceipt, s.queue.TellReceipt)
	wire.Handle(m, protocol.BrokerPlace, place{s.set, s.parts.cert, s.hosts.address}.tell)
	s.parts.invites.Bind(m)
	s.parts.admission.Bind(m)
	s.parts.moderation.Bind(m)
	(&grant.Grants{Update: guard.Regrant, List: guard.Grants}).Bind(m)
	(&ownership.Ownership{
		DB: s.db, Owner: s.parts.invites.Owner, Now: s.now, Tell: s.crowd.tell, TellMember: s.crowd.tellMember, Close: s.crowd.dismiss,
	}).Bind(m)
	(&skill.Skills{DB: s.db, Limit: s.set.MemberSkills, Reached: s.count.reached, Tell: s.crowd.tell, Now: s.now}).Bind(m)
	s.presence.Bind(m)
	peers := &roster.Roster{
		DB: s.db, Connections: s.queue.Connections, Complete: s.presence.Complete, Permits: guard.Permits, Seen: s.set.SessionSeen, Now: s.now,
		Page: s.set.PeersPage, Reached: s.count.reached,
	}
	peers.Bind(m)
	(&group.Groups{DB: s.db, Seating: s.queue, Here: peers.Here, Seen: s.set.SessionSeen, Now: s.now}).Bind(m)
}

// again refuses a second hello: it would leave the first one's presence without an owner.
func again[Req any](context.Context, *session.Session, Req) (protocol.HelloAnswer, error) {
	return protocol.HelloAnswer{}, mesh.Errorf(mesh.AlreadyAuthenticated, "this connection said hello before")
}

// bye ends a presence on purpose, at once: its connection may take its time to close.
func (s *server) bye(_ context.Context, who *session.Session, _ protocol.Goodbye) (wire.None, error) {
	s.queue.Farewell(who.Conn, func() {
		if c := s.crowd.find(who.Conn); c != nil {
			c.deliberate.Store(true)
			c.out.Close(mesh.CloseNormal, mesh.ReasonClosed)
		}
	})
	return wire.None{}, nil
}

// send counts what the queue takes and refuses.
func (s *server) send(ctx context.Context, who *session.Session, req protocol.SendRequest, answer wire.Answer[protocol.Ack]) {
	start := s.now()
	s.queue.Accept(ctx, who, req, func(ack protocol.Ack, err error) {
		answer(ack, err)
		s.count.accept.observe(s.now().Sub(start))
		switch {
		case err != nil:
			s.count.rejected.add(string(mesh.CodeOf(err)))
		case ack.Error != "":
			s.count.rejected.add(string(ack.Code))
		default:
			s.count.routed.add(string(req.Priority))
		}
	})
}
