package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// attached is one connection that was dialled.
type attached struct {
	conn  *conn
	peer  *wire.Peer
	ended chan struct{} // closed when nothing is read any more
	err   error         // why; after ended
	dead  chan error    // a ping that was not answered
	pings sync.WaitGroup
}

// connect makes one connection, keeps it until it or ctx ends, and says why it ended. Welcomed is called when the
// broker has accepted us.
func (l *Link) connect(ctx context.Context, welcomed func()) error {
	c, err := l.dial(ctx)
	if err != nil {
		return err
	}
	a := &attached{conn: c, peer: wire.NewPeer(c), ended: make(chan struct{}), dead: make(chan error, 1)}
	go func() {
		defer close(a.ended)
		a.err = a.peer.Run(context.WithoutCancel(ctx), l.mux) // a frame that was read is still handled
	}()
	err = l.attend(ctx, a, welcomed)
	if ctx.Err() != nil {
		l.goodbye(a)
	}
	c.drop()
	<-a.ended
	a.pings.Wait()
	return err
}

// attend introduces us and watches over the connection.
func (l *Link) attend(ctx context.Context, a *attached, welcomed func()) error {
	answer, err := l.hello(ctx, a)
	if err != nil {
		if ctx.Err() == nil && !mesh.IsCode(err, mesh.HelloTimeout) {
			err = a.refused(err)
		}
		return err
	}
	welcomed()
	version := a.version()
	if version > v1 && l.opt.Spoke != nil {
		l.opt.Spoke(version)
	}
	l.mu.Lock()
	l.welcome, l.auth = answer, version
	l.mu.Unlock()
	l.set(Open, nil, a.peer)
	l.log.Info("broker connection is open", slog.String(logkey.URL, l.opt.URL), slog.Int(logkey.Count, len(answer.Capabilities)))
	return l.watch(ctx, a)
}

// refusalLimit is how long a refusal waits for the close frame that says how final it is.
const refusalLimit = time.Second

// refused adds to a refusal of the hello the close frame that follows it, if one does.
func (a *attached) refused(err error) error {
	timer := time.NewTimer(refusalLimit)
	defer timer.Stop()
	closed := (*CloseError)(nil)
	select {
	case <-a.ended:
		if !errors.As(err, &closed) && errors.As(a.err, &closed) && closed.Reason != string(mesh.CodeOf(err)) {
			return fmt.Errorf("%w; %w", err, closed)
		}
	case <-timer.C:
	}
	return err
}

// farewell is why a connection that was open has ended: of a ban, what the broker said of it before it closed.
func (a *attached) farewell() error {
	closed := (*CloseError)(nil)
	if errors.As(a.err, &closed) && closed.Code == mesh.CloseBanned {
		if said := a.peer.LastWord(); mesh.IsCode(said, mesh.Revoked) {
			return said
		}
	}
	return a.err
}

// wakeLimit is how long a connection that was nudged has to prove that it lives (daemon 20).
const wakeLimit = 5 * time.Second

// watch pings, and returns when the connection ended, is dead, or ctx ended. Timers alone decide what dead is: they
// stand still while the machine sleeps.
func (l *Link) watch(ctx context.Context, a *attached) error {
	t := l.opt.Timing
	step := t.Ping / 6
	tick := time.NewTicker(step)
	defer tick.Stop()
	var quiet, unpinged time.Duration
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.ended:
			return a.farewell()
		case err := <-a.dead:
			return err
		case <-l.nudge:
			a.ping(ctx, wakeLimit)
			unpinged = 0
			continue
		case <-tick.C:
		}
		if quiet += step; a.conn.heard() {
			quiet = 0
		}
		if quiet >= t.DeadAfter {
			return mesh.Errorf(mesh.BrokerDown, "nothing was heard of the broker for %v", t.DeadAfter)
		}
		if unpinged += step; unpinged >= t.Ping {
			a.ping(ctx, t.DeadAfter)
			unpinged = 0
		}
	}
}

// ping asks for a sign of life within a limit.
func (a *attached) ping(ctx context.Context, limit time.Duration) {
	a.pings.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit) // it ends with the connection
		defer cancel()
		if err := a.conn.Ping(ctx); err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			select {
			case a.dead <- mesh.Errorf(mesh.BrokerDown, "the broker did not answer a ping within %v", limit):
			default: // another ping has said so
			}
		}
	})
}
