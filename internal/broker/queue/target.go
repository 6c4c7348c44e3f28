package queue

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// resolve finds the mailboxes of a draft and completes the message by what the target is (design D1).
func (q *Queue) resolve(ctx context.Context, s *session.Session, d *draft, a *accept) error {
	if d.to.kind != store.ToMember {
		a.msg.Target = d.to.text
		var err error
		a.to, err = q.audience(ctx, s, d.to)
		return err
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
	a.to = []*address{to}
	return nil
}

// audience finds the mailboxes of a group, or of everyone: those of the connected sessions, and that of each member
// without one. The sender's session gets nothing; of a client that is not ours, nothing of its member does.
func (q *Queue) audience(ctx context.Context, s *session.Session, to target) ([]*address, error) {
	conns, err := q.Connections(ctx, s.Mesh)
	if err != nil {
		return nil, err
	}
	reached := map[mesh.ID]bool{s.Member: true} // a copy for the member would reach the sender
	inGroup := map[mesh.ID]bool{}
	var out []*address
	for i := range conns {
		c := &conns[i]
		if to.kind == store.ToGroup && !hub.InGroup(c.Groups, to.group) {
			continue
		}
		if c.SessionKey == "" {
			inGroup[c.Member] = true
			continue
		}
		if c.Member == s.Member && (!s.Go || c.SessionKey == s.SessionKey) {
			continue
		}
		if a := q.dir.connected(hub.Mailbox{Member: c.Member, Session: c.SessionKey}); a != nil { // else it has just left
			out = append(out, a)
			reached[c.Member] = true
		}
	}
	absent, err := q.absent(ctx, s.Mesh, to, inGroup)
	if err != nil {
		return nil, err
	}
	for _, a := range absent {
		if !reached[a.box.Member] {
			out = append(out, a)
		}
	}
	return out, nil
}

// absent lists the own mailboxes of the members that the target means, connected or not. A group means those who
// were seen in it lately, and those of inGroup.
func (q *Queue) absent(ctx context.Context, meshID mesh.ID, to target, inGroup map[mesh.ID]bool) ([]*address, error) {
	var members []store.Member
	var groups []store.GroupMember
	err := q.db.Read(ctx, func(tx *sqlite.Tx) (err error) {
		if members, err = store.ListMembers(tx, meshID); err != nil || to.kind != store.ToGroup {
			return err
		}
		groups, err = store.ListGroupMembers(tx, meshID, q.now().Add(-q.set.SessionSeen))
		return err
	})
	if err != nil {
		return nil, err
	}
	seenIn := map[int64]bool{}
	for _, g := range groups {
		if hub.InGroup([]string{g.Group}, to.group) {
			seenIn[g.Member] = true
		}
	}
	var out []*address
	for _, m := range members {
		if to.kind == store.ToGroup && !seenIn[m.N] && !inGroup[m.ID] {
			continue
		}
		out = append(out, &address{mesh: meshID, key: m.Key, box: hub.Mailbox{Member: m.ID}, n: store.Box{Member: m.N}})
	}
	return out, nil
}
