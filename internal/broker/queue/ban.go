package queue

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// reasonBanned stands in the close frame of a banned member (wire 1.3).
const reasonBanned = "banned"

// Ban ends a membership: nothing of the member's is accepted any more, its connections are closed, and what it wrote
// and nobody has yet is withdrawn, with receipts, before Ban returns. What waits for the member goes on to wait, for an
// Unban. Last is the frame from which connections of ours learn why they are closed. False means that the membership had
// ended before.
func (g Guard) Ban(ctx context.Context, b store.Ban, last []byte) (ended bool, err error) {
	err = g.q.commit(ctx, func(tx *sqlite.Tx, l *ledger) (err error) {
		if ended, err = store.AddBan(tx, b); ended {
			l.banned[b.N] = true
		}
		return err
	}, func() {
		if !ended {
			return
		}
		g.q.dir.banish(b.ID, true)
		tellOurs(g.q.loop, b.Mesh, b.ID, last)
		g.q.loop.do(g.q.loop.hub.Close(g.q.now(), b.Mesh, hub.OfMember(b.ID), mesh.CloseBanned, reasonBanned))
		g.q.loop.do(g.q.loop.hub.Reread(g.q.now(), hub.OfSender(b.N)))
		g.q.loop.watch.Dropped(b.Mesh, b.ID)
	})
	if err != nil || !ended {
		return false, err
	}
	return true, g.q.sweep.withdraw(ctx)
}

// tellOurs sends a frame to the connections of a member that know our own ones. Who does not take it is about to be closed.
func tellOurs(l *loop, meshID, member mesh.ID, frame []byte) {
	for _, c := range l.hub.Conns(meshID) {
		if n := l.lines[c.ID]; n != nil && c.Member == member && c.Go {
			_ = n.out.Send(frame)
		}
	}
}

// Unban gives a membership back; its mail is pushed when the member connects. False means that it was not banned.
func (g Guard) Unban(ctx context.Context, m store.Member) (lifted bool, err error) {
	err = g.q.commit(ctx, func(tx *sqlite.Tx, l *ledger) (err error) {
		if lifted, err = store.LiftBan(tx, m.N); lifted {
			delete(l.banned, m.N)
		}
		return err
	}, func() { g.q.dir.banish(m.ID, false) })
	return lifted && err == nil, err
}

// Closing says which connections are closed, and how.
type Closing struct {
	Mesh   mesh.ID
	Which  func(*hub.Conn) bool // called on the queue's own goroutine
	Code   mesh.CloseCode
	Reason string
}

// Close closes the connections of this moment for which Which holds.
func (q *Queue) Close(ctx context.Context, c Closing) error {
	_, err := ask(ctx, q.loop, func() bool {
		q.loop.do(q.loop.hub.Close(q.now(), c.Mesh, c.Which, c.Code, c.Reason))
		return true
	})
	return err
}
