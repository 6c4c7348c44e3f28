package queue

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// resolve finds the mailboxes of a draft and completes the message by what the target is (design D1).
func (q *Queue) resolve(ctx context.Context, s *session.Session, d *draft, a *accept) error {
	if d.to.kind != store.ToMember {
		a.msg.Target = d.to.text
		return q.connected(ctx, s, d.to, a)
	}
	if d.to.key == s.SessionKey {
		return mesh.Errorf(mesh.SelfSend, "a session does not write to itself")
	}
	to, err := q.dir.find(ctx, s.Mesh, d.to.key)
	if err != nil {
		return err
	}
	if to.n.Session != 0 {
		a.msg.Kind = store.ToSession
	}
	a.to.known = []*address{to}
	return nil
}

// connected finds the mailboxes of the sessions that a group, or everyone, means and that are connected, or wait for
// their connection to come back; the store knows those of the members without one, as whom the sender finds who blocks
// it. Who hides gets nothing. Nor does the sender's session; of a client that is not ours, nothing of its member does.
func (q *Queue) connected(ctx context.Context, s *session.Session, to target, a *accept) error {
	conns, err := q.Connections(ctx, s.Mesh)
	if err != nil {
		return err
	}
	a.to.others = &audience{
		kind: to.kind, group: to.group, since: q.now().Add(-q.set.SessionSeen),
		reached: map[mesh.ID]bool{s.Member: true}, // a copy for the member would reach the sender
	}
	present, hidden := q.loop.watch.Audience(s.Mesh, conns)
	away := q.dir.blocking(a)
	for _, member := range hidden {
		a.to.others.reached[member] = !away(member)
	}
	var last mesh.ID
	for _, c := range present {
		if c.SessionKey == "" || to.kind == store.ToGroup && !hub.InGroup(c.Groups, to.group) {
			continue
		}
		if c.Member == s.Member && (!s.Go || c.SessionKey == s.SessionKey) || away(c.Member) {
			continue
		}
		to := &a.to.known
		box := q.dir.connected(hub.Mailbox{Member: c.Member, Session: c.SessionKey})
		if box == nil {
			to = &a.to.absent
			box, err = q.dir.find(ctx, c.Mesh, c.SessionKey)
		}
		if mesh.IsCode(err, mesh.TargetNotFound) {
			continue // it has just left
		}
		if err != nil {
			return err
		}
		*to = append(*to, box)
		if c.Member != last { // many sessions of one member cost one look
			last = c.Member
			a.to.others.reached[last] = true
		}
	}
	return nil
}
