package queue

import (
	"context"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// MaxGroups bounds the groups of one connection; the next one is refused.
const MaxGroups = 64

// JoinGroup puts a connection into a group, or changes its role there, and returns all its groups when that is
// remembered. The name is one of mesh.ParseGroup.
func (q *Queue) JoinGroup(ctx context.Context, id hub.ConnID, g protocol.Group) ([]protocol.Group, error) {
	return q.regroup(ctx, id, func(groups []protocol.Group) ([]protocol.Group, error) {
		i := slices.IndexFunc(groups, func(o protocol.Group) bool { return o.Name == g.Name })
		switch {
		case i >= 0:
			groups[i] = g
		case len(groups) >= MaxGroups:
			return nil, mesh.Errorf(mesh.BadRequest, "a session is in at most %d groups", MaxGroups)
		default:
			groups = append(groups, g)
		}
		return groups, nil
	}, "")
}

// LeaveGroup takes a connection out of a group, and returns the groups that it is still in. Its member has left when
// no other connection of it is there.
func (q *Queue) LeaveGroup(ctx context.Context, id hub.ConnID, name string) ([]protocol.Group, error) {
	return q.regroup(ctx, id, func(groups []protocol.Group) ([]protocol.Group, error) {
		return slices.DeleteFunc(groups, func(o protocol.Group) bool { return o.Name == name }), nil
	}, name)
}

// regroup changes the groups of a connection at once, and answers when the change is on the disk. Change gets a copy.
func (q *Queue) regroup(ctx context.Context, id hub.ConnID, change func([]protocol.Group) ([]protocol.Group, error), left string) ([]protocol.Group, error) {
	if err := q.loop.enter(ctx); err != nil {
		return nil, err
	}
	defer q.loop.leave()
	type outcome struct {
		groups []protocol.Group
		stored barrier
		err    error
	}
	got, err := ask(context.WithoutCancel(ctx), q.loop, func() (o outcome) {
		n := q.loop.lines[id]
		if n == nil {
			o.err = mesh.Errorf(mesh.ShuttingDown, "the connection has ended")
			return o
		}
		if o.groups, o.err = change(slices.Clone(n.conn.Groups)); o.err != nil {
			return o
		}
		o.stored = barrier{make(chan error, 1)}
		q.loop.regroup(n, o.groups, left, o.stored)
		return o
	})
	if err == nil {
		err = got.err
	}
	if err == nil {
		err = <-got.stored.done
	}
	return got.groups, err
}

// regroup makes these the groups of a connection. Left, if set, is the group that it is no longer in.
func (l *loop) regroup(n *line, groups []protocol.Group, left string, stored barrier) {
	n.conn.Groups = groups
	effects := l.hub.Change(l.now(), n.conn.ID, func(c *hub.Conn) { c.Groups = groups })
	r := &regrouped{at: l.now(), box: n.boxes[len(n.boxes)-1].n, groups: seats(groups), left: left}
	if left != "" {
		r.stay = l.stay(n, left)
	}
	l.writer.addLazy(r)
	l.writer.add(stored)
	l.do(effects)
}

// stay lists the sessions of a connection's member that are still in a group.
func (l *loop) stay(n *line, group string) []int64 {
	var stay []int64
	for _, c := range l.hub.Conns(n.conn.Mesh) {
		if c.Member != n.conn.Member || !slices.ContainsFunc(c.Groups, func(g protocol.Group) bool { return g.Name == group }) {
			continue
		}
		if o := l.lines[c.ID]; o != nil {
			stay = append(stay, o.boxes[len(o.boxes)-1].n.Session)
		}
	}
	return stay
}

func seats(groups []protocol.Group) []store.GroupSeat {
	out := make([]store.GroupSeat, len(groups))
	for i, g := range groups {
		out[i] = store.GroupSeat{Name: g.Name, Role: g.Role}
	}
	return out
}

// regrouped notes the groups that a session has from now on.
type regrouped struct {
	at     time.Time
	box    store.Box
	groups []store.GroupSeat
	left   string // what it is no longer in; may be empty
	stay   []int64
}

func (r *regrouped) apply(tx *sqlite.Tx, _ *ledger) error {
	if r.left != "" {
		if err := store.LeaveGroup(tx, r.box.Member, r.left, r.stay); err != nil {
			return err
		}
	}
	return store.SetGroups(tx, r.box, r.groups, r.at)
}

// recipients are the mailboxes of a message.
type recipients struct {
	known  []*address // who is there
	absent []*address // whose connection is awaited
	others *audience  // beside them; nil for one key
}

// list finds all of them, first those who are there, within the transaction that stores the message: what the connections before it noted of their
// groups is there.
func (r recipients) list(tx *sqlite.Tx, meshID mesh.ID) ([]*address, error) {
	if r.others == nil {
		return r.known, nil
	}
	others, err := r.others.list(tx, meshID)
	return slices.Concat(r.known, r.absent, others), err
}

// audience is whom a group, or everyone, means beside those who are connected.
type audience struct {
	kind    store.Kind
	group   string // without @
	since   time.Time
	reached map[mesh.ID]bool // members who have their copy, or get none
}

// list finds the own mailboxes of the members that nobody reached.
func (w *audience) list(tx *sqlite.Tx, meshID mesh.ID) ([]*address, error) {
	var members []store.Member
	var err error
	if w.kind == store.ToGroup {
		members, err = store.ListGroupMembers(tx, meshID, w.group, w.since)
	} else {
		members, err = store.ListMembers(tx, meshID)
	}
	if err != nil {
		return nil, err
	}
	var out []*address
	for _, m := range members {
		if !w.reached[m.ID] {
			out = append(out, &address{mesh: meshID, key: m.Key, box: hub.Mailbox{Member: m.ID}, n: store.Box{Member: m.N}})
		}
	}
	return out, nil
}
