// Package queue is the delivery core of the broker: it takes messages into the store, pushes them to who is
// connected, keeps them for who is not, and tells senders what became of them.
package queue

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
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
}

// Queue moves messages. Its methods may be called from any goroutine while Run runs; those of one connection are
// called in the order of its frames.
type Queue struct {
	db     *sqlite.DB
	set    config.Broker
	now    mesh.Clock
	log    *slog.Logger
	dir    *directory
	rates  *buckets
	writer *writer
	in     *inbox
	loads  *loads
	spent  *spent

	// slots admits what clients send, so that what waits for the disk and the loop is bounded. At the bound their
	// readers wait.
	slots chan struct{}
	over  chan struct{} // closed when ctx of Run has ended

	hub   *hub.Hub             // the loop's
	lines map[hub.ConnID]*line // the loop's: the connections that the hub knows
	ill   bool                 // the loop's: the last group was not stored
}

const (
	maxUnderWay = 2048    // frames of clients that were read and not answered
	windowRows  = 256     // pushes that one connection has not acknowledged
	windowBytes = 1 << 20 // and their frames together; less than an Outbound holds
	readers     = 2       // goroutines that read mailboxes; the store has four readers
)

// New returns a queue. Nothing works before Run.
func New(opt Options) *Queue {
	q := &Queue{
		db:    opt.DB,
		set:   opt.Settings,
		now:   opt.Now,
		log:   opt.Log,
		dir:   newDirectory(opt),
		rates: newBuckets(opt.Settings.SendPerSecond, opt.Settings.SendBurst),
		in:    newInbox(),
		loads: newLoads(),
		spent: newSpent(),
		slots: make(chan struct{}, maxUnderWay),
		over:  make(chan struct{}),
		hub:   hub.New(hub.Options{Lease: opt.Settings.Lease, Rows: windowRows, Bytes: windowBytes}),
		lines: map[hub.ConnID]*line{},
	}
	q.writer = newWriter(opt.DB, &ledger{set: opt.Settings}, func(ops []op, err error) {
		q.in.post(func() { q.committed(ops, err) })
	})
	return q
}

// Run owns the hub, the lease timer and the sweeper. It returns after ctx ended and everything that was accepted is
// answered; what comes then is refused with shutting_down. It runs once.
func (q *Queue) Run(ctx context.Context) error {
	var g errgroup.Group
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	for range readers {
		g.Go(func() error { q.readMailboxes(work); return nil })
	}
	g.Go(func() error { q.sweep(work); return nil })
	g.Go(func() error {
		defer stop()
		q.loop(ctx)
		return nil
	})
	return g.Wait()
}

// loop does what is in the inbox until ctx has ended and nothing is under way any more.
func (q *Queue) loop(ctx context.Context) {
	tick := time.NewTicker(max(10*time.Millisecond, q.set.Lease/16)) // a lease may last that much longer
	defer tick.Stop()
	ended := ctx.Done()
	var items []func()
	for {
		select {
		case <-q.in.wake:
			items = q.in.take(items)
			for i, item := range items {
				item()
				items[i] = nil
			}
		case <-tick.C:
			q.do(q.hub.Tick(q.now()))
		case <-ended:
			ended = nil
			close(q.over)
		}
		if ended == nil && q.writer.pending.Load() == 0 && q.in.closeIfEmpty() {
			return
		}
	}
}

// enter takes a slot for a frame of a client, and leave gives it back.
func (q *Queue) enter(ctx context.Context) error {
	select {
	case <-q.over:
		return errOver()
	default:
	}
	select {
	case q.slots <- struct{}{}:
		return nil
	case <-q.over:
		return errOver()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *Queue) leave() { <-q.slots }

func errOver() error { return mesh.Errorf(mesh.ShuttingDown, "the broker is stopping") }

// ask runs f on the loop and returns its answer.
func ask[T any](ctx context.Context, q *Queue, f func() T) (T, error) {
	var none T
	answer := make(chan T, 1)
	if !q.in.post(func() { answer <- f() }) {
		return none, errOver()
	}
	select {
	case a := <-answer:
		return a, nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
