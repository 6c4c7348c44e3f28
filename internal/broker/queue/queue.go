// Package queue is the delivery core of the broker: it takes messages into the store, pushes them to who is
// connected, keeps them for who is not, and tells senders what became of them.
package queue

import (
	"context"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Outbound is the sending end of one connection. Its methods may be called from any goroutine and never block.
type Outbound interface {
	// Send queues a frame. False means that the buffer is full or the connection is over: a slow consumer.
	// The frame belongs to many connections at once and is never written to.
	Send(frame []byte) bool
	// SendThen is Send; written is called once, after the frame was handed to the socket, and never when the
	// connection ended before that. It may be called before SendThen returns.
	SendThen(frame []byte, written func()) bool
	// Close ends the connection with a close frame, after what was queued where that is still possible.
	Close(code mesh.CloseCode, reason string)
}

// Options are what a Queue works with.
type Options struct {
	DB       *sqlite.DB // of store.Open; closed by its opener, after Run has returned
	Settings config.Broker
	Now      mesh.Clock
	Log      *slog.Logger
	Watch    Watcher                 // nil: nobody
	Reached  func(config.Bound, int) // counts what bounds turned away, ended or forgot; from any goroutine; nil: nobody does
}

// Watcher is told who is connected, in the order in which that changes, on the goroutine of Run: it must not block.
type Watcher interface {
	// Entered follows the first frame of a connection.
	Entered(c hub.Conn, out Outbound)
	// Left says that a connection is over, as it was at the end; deliberate: its peer does not mean to come back, or may
	// not. A connection that was replaced is told of after the one that took its place.
	Left(c hub.Conn, deliberate bool)
	// Dropped says that a membership ended.
	Dropped(meshID, member mesh.ID)

	// Audience is whom a message to many may reach, of the connections of a mesh and of those who wait for theirs to come
	// back, and the members who hide from such messages. It may be called from any goroutine.
	Audience(meshID mesh.ID, conns []hub.Conn) (present []*hub.Conn, hidden []mesh.ID)
}

// nobody watches where no Watcher is given.
type nobody struct{}

func (nobody) Entered(hub.Conn, Outbound) {}
func (nobody) Left(hub.Conn, bool)        {}
func (nobody) Dropped(mesh.ID, mesh.ID)   {}
func (nobody) Audience(_ mesh.ID, conns []hub.Conn) (present []*hub.Conn, _ []mesh.ID) {
	for i := range conns {
		present = append(present, &conns[i])
	}
	return present, nil
}

// Queue moves messages. Its methods may be called from any goroutine while Run runs; those of one connection are
// called in the order of its frames.
type Queue struct {
	db     *sqlite.DB
	set    config.Broker
	now    mesh.Clock
	dir    *directory
	rates  *buckets
	writer *writer
	loop   *loop
	drain  *drain
	sweep  *sweeper
}

// New returns a queue. Nothing works before Run.
func New(opt Options) *Queue {
	if opt.Reached == nil {
		opt.Reached = func(config.Bound, int) {}
	}
	q := &Queue{
		db:    opt.DB,
		set:   opt.Settings,
		now:   opt.Now,
		dir:   newDirectory(opt),
		rates: newBuckets(opt.Settings.SendPerSecond, opt.Settings.SendBurst),
	}
	q.loop = newLoop(opt, q.dir)
	q.writer = newWriter(opt.DB, &ledger{set: opt.Settings}, func(ops []op, err error) {
		q.loop.in.post(func() {
			q.writer.ask() // not on the goroutine of the committer, which may be what the asking waits for
			q.loop.committed(ops, err)
		})
	})
	q.drain = newDrain(opt, q.loop)
	q.sweep = newSweeper(opt, q.loop)
	q.loop.writer, q.loop.drain, q.loop.spent = q.writer, q.drain, q.sweep.spent
	return q
}

// Run owns the hub, the lease timer and the sweeper. It returns after ctx ended and everything that was accepted is
// answered; what comes then is refused with shutting_down. It runs once.
func (q *Queue) Run(ctx context.Context) error {
	err := q.dir.readGrants(context.WithoutCancel(ctx))
	if err != nil { // whoever waits already is told that it stops
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel()
	}
	var g errgroup.Group
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	for range readers {
		g.Go(func() error { q.drain.run(work); return nil })
	}
	g.Go(func() error { q.sweep.run(work); return nil })
	g.Go(func() error {
		defer stop()
		q.loop.run(ctx, q.set.Lease)
		return err
	})
	return g.Wait()
}

// Attach registers an authenticated connection, at is its place in the store: welcome (the hello_ack) is the first frame
// of its buffer, then the mailbox drains (design B5). A connection with the same session key, or without one but with the
// same member and session id, is closed with 1000 session_replaced and needs no Detach any more. The session key is
// nobody else's, and was stored with store.ClaimSession before. After an error the connection is not registered.
func (q *Queue) Attach(ctx context.Context, c hub.Conn, at store.Box, out Outbound, welcome []byte) error {
	if err := q.loop.enter(ctx); err != nil {
		return err
	}
	// Without ctx: it would leave open whether the connection is registered.
	in, err := ask(context.WithoutCancel(ctx), q.loop, func() bool {
		n := &line{conn: c, out: out, boxes: boxesOf(c, at), credit: receiptCredit}
		if !q.dir.admit(n.boxes) {
			return false
		}
		q.loop.attach(n, welcome)
		return true
	})
	q.loop.leave()
	if err == nil && !in {
		err = errRevoked()
	}
	return err
}

// boxesOf are the mailboxes of a connection: its member's, and its session's.
func boxesOf(c hub.Conn, at store.Box) []*address {
	boxes := make([]*address, 1, 2)
	boxes[0] = &address{mesh: c.Mesh, key: c.MemberKey, box: hub.Mailbox{Member: c.Member}, n: store.Box{Member: at.Member}}
	if c.SessionKey != "" {
		boxes = append(boxes, &address{mesh: c.Mesh, key: c.SessionKey, box: hub.Mailbox{Member: c.Member, Session: c.SessionKey}, n: at})
	}
	return boxes
}

// Detach forgets a connection that is over; what it had not acknowledged is pushed to the next one. Deliberate says
// that the client said goodbye. Detaching twice, or one that was replaced or closed from here, does nothing.
func (q *Queue) Detach(id hub.ConnID, deliberate bool) {
	q.loop.in.post(func() { q.loop.detach(id, deliberate) })
}

// Farewell is Detach for a client that said goodbye. Then runs when it is detached: a connection that is closed before
// that would be cut for not taking what is pushed to it, as if it meant to come back. Then must not block.
func (q *Queue) Farewell(id hub.ConnID, then func()) {
	if !q.loop.in.post(func() { q.loop.detach(id, true); then() }) {
		then()
	}
}

// SetStatus notes what a peer is doing, which decides what it is pushed (wire 5).
func (q *Queue) SetStatus(id hub.ConnID, status mesh.Status) {
	q.loop.in.post(func() { q.loop.do(q.loop.hub.Change(q.now(), id, func(c *hub.Conn) { c.Status = status })) })
}

// ClientAck notes that a pushed message is on the recipient's disk (wire 3.4). It clears only what this connection
// was pushed. There is no answer.
func (q *Queue) ClientAck(ctx context.Context, s *session.Session, req protocol.ClientAckRequest) (wire.None, error) {
	return wire.None{}, q.ClientAcks(ctx, s, []protocol.ClientAckRequest{req})
}

// ClientAcks is ClientAck for several, which it keeps.
func (q *Queue) ClientAcks(ctx context.Context, s *session.Session, reqs []protocol.ClientAckRequest) error {
	if err := q.loop.enter(ctx); err != nil {
		return err
	}
	q.loop.in.post(func() {
		q.loop.leave()
		q.loop.do(q.loop.hub.Acks(q.now(), s.Conn, reqs))
	})
	return nil
}

// Connections lists the connections of a mesh, oldest first. The list is given to several, and is not to be changed.
func (q *Queue) Connections(ctx context.Context, meshID mesh.ID) ([]hub.Conn, error) {
	return ask(ctx, q.loop, func() []hub.Conn { return q.loop.hub.Conns(meshID) })
}

// CloseMember closes all connections of a member, and forgets what is remembered of it. It is called after the
// membership ended in the store.
func (q *Queue) CloseMember(meshID, member mesh.ID, code mesh.CloseCode, reason string) {
	q.dir.banish(member, true)
	q.loop.in.post(func() {
		q.loop.do(q.loop.hub.Close(q.now(), meshID, hub.OfMember(member), code, reason))
		q.loop.watch.Dropped(meshID, member)
	})
}
