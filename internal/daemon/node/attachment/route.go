package attachment

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// route leads the outbox to the broker of one mesh (outbox.Route).
type route struct{ *Attachment }

// Open reports whether the connection of a sender takes frames.
func (r route) Open(sender mesh.Key) bool {
	link := r.sender(sender)
	return link != nil && link.Peer() != nil
}

// Changed is closed at the next change of a connection.
func (r route) Changed() <-chan struct{} { return r.wake.Wait() }

// Limits are those of the broker, or what this user has set instead.
func (r route) Limits() protocol.Limits {
	l := r.Link.Limits()
	set := r.opt.Settings
	if set.SendPerSecond > 0 {
		l.SendPerSecond = float64(set.SendPerSecond)
	}
	if set.SendBurst > 0 {
		l.SendBurst = set.SendBurst
	}
	return l
}

// Send writes one frame; the ack is awaited by the reply.
func (r route) Send(ctx context.Context, sender mesh.Key, req protocol.SendRequest) (outbox.Reply, error) {
	link := r.sender(sender)
	if link == nil {
		return nil, mesh.Errorf(mesh.SessionOver, "the session that sealed the message has no connection")
	}
	peer := link.Peer()
	if peer == nil {
		return nil, mesh.Errorf(mesh.BrokerDown, "not connected")
	}
	if link.Auth() > 1 || link.Has(protocol.CapSenderProof) { // another broker would only drop it
		auth, err := r.prove(sender, req)
		if err != nil {
			return nil, err
		}
		req.Auth = auth
	}
	reply, err := protocol.Send.Start(ctx, peer, req)
	if v := r.voices.speaker(link); v != nil {
		if err == nil {
			v.tally.out.Add(1)
		} else {
			v.tally.failed.Add(1)
		}
	}
	return reply, err
}

// sender gives the connection on which a sender's frames leave: the member's own for an empty key.
func (r route) sender(key mesh.Key) *uplink.Link {
	if key == "" {
		return r.Link
	}
	if s, _ := r.Sessions.byKey(key); s != nil {
		return s.Link
	}
	return nil
}
