package uplink

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Run keeps the connection until ctx ends, then says bye, closes with session_closed, and returns nil when all its
// goroutines have ended. A Link runs once.
func (l *Link) Run(ctx context.Context) error {
	defer l.set(Closed, nil, nil)
	l.set(Connecting, nil, nil)
	past := history{timing: l.opt.Timing, session: l.opt.Identity.IsSession()}
	for {
		select {
		case <-l.retry: // fulfilled by this try
		default:
		}
		err := l.connect(ctx, past.opened)
		if ctx.Err() != nil {
			return nil
		}
		err = readable(err)
		v := past.judge(err, l.opt.Now())
		if v.alarm {
			err = mesh.Errorf(mesh.TwinIdentity, "another daemon with the same keys takes the place of this one again and again: a home was copied, or a backup restored, and both run")
		}
		l.report(v, err, past.failures)
		l.set(v.state, err, nil)
		again, nudged := l.pause(ctx, v)
		if !again {
			return nil
		}
		if nudged {
			past.failures = 0
		}
		l.set(Reconnecting, err, nil)
	}
}

// report logs what became of a connection: a change that stays for everyone to read, a further failed try for the
// curious.
func (l *Link) report(v verdict, err error, failures int) {
	level := slog.LevelDebug
	switch {
	case v.alarm:
		level = slog.LevelError
	case v.state.Final():
		level = slog.LevelWarn
	case l.State() != Reconnecting:
		level = slog.LevelInfo
	}
	l.log.Log(context.Background(), level, "broker connection is down", slog.String(logkey.State, string(v.state)),
		slog.String(logkey.Code, string(mesh.CodeOf(err))), slog.Any(logkey.Err, err),
		slog.Int64(logkey.WaitMS, v.wait.Milliseconds()), slog.Int(logkey.Attempt, failures))
}

// pause waits for the next try, and reports whether there is one and whether a nudge brought it forward. A final state
// waits for Retry alone.
func (l *Link) pause(ctx context.Context, v verdict) (again, nudged bool) {
	var due <-chan time.Time
	var nudge <-chan struct{}
	if !v.state.Final() {
		timer := time.NewTimer(v.wait)
		defer timer.Stop()
		due, nudge = timer.C, l.nudge
	}
	select {
	case <-ctx.Done():
		return false, false
	case <-due:
	case <-l.retry:
	case <-nudge:
		return true, true
	}
	return true, false
}

// verdict is what follows from the end of a connection.
type verdict struct {
	state State // Reconnecting or a final one
	wait  time.Duration
	alarm bool // two daemons with one identity
}

// history is what the end of a connection is judged by.
type history struct {
	timing   Timing
	session  bool        // it is one that connects
	failures int         // in a row, without a welcome
	replaced []time.Time // when others took our place, in the last replacedSpan
}

// So often in this time, another daemon with our keys is at work (daemon 6.4).
const (
	replacedLimit = 3
	replacedSpan  = time.Minute
)

// opened forgets the failures: a broker welcomed us.
func (h *history) opened() { h.failures = 0 }

// judge decides whether and when to connect again (daemon 6.4).
func (h *history) judge(err error, now time.Time) verdict {
	v := verdict{state: Reconnecting, wait: h.timing.jitter(h.timing.backoff(h.failures))}
	h.failures++
	code, closed, unkept := mesh.CodeOf(err), (*CloseError)(nil), (*unkeptError)(nil)
	if errors.As(err, &closed) && !closed.Code.ComeBack(closed.Reason) {
		return verdict{state: finalState(closed.Code, mesh.Code(closed.Reason))}
	}
	switch {
	case errors.As(err, &unkept):
		v.wait = h.timing.jitter(h.timing.ReconnectMax)
	case code == mesh.InsecureURL, !mesh.ClosePolicy.ComeBack(string(code)):
		return verdict{state: finalState(mesh.ClosePolicy, code)}
	case code == mesh.NoHello && h.session:
		return verdict{state: Unsupported}
	case code == mesh.Capacity, code == mesh.RateLimited, code == mesh.TimestampSkew, code == mesh.NoHello, code == mesh.PinMismatch, code == mesh.WeakerHandshake:
		v.wait = h.timing.jitter(h.timing.ReconnectMax)
	case closed != nil && closed.Code == mesh.CloseNormal && closed.Reason == mesh.ReasonReplaced:
		if h.tooOften(now) {
			v.wait, v.alarm = h.timing.jitter(h.timing.ReconnectMax), true
		}
	}
	return v
}

// tooOften counts one more connection that was replaced.
func (h *history) tooOften(now time.Time) bool {
	kept := h.replaced[:0]
	for _, at := range h.replaced {
		if now.Sub(at) < replacedSpan {
			kept = append(kept, at)
		}
	}
	h.replaced = append(kept, now)
	if len(h.replaced) < replacedLimit {
		return false
	}
	h.replaced = nil
	return true
}

func finalState(close mesh.CloseCode, reason mesh.Code) State {
	switch {
	case close == mesh.CloseBanned, reason == mesh.Revoked:
		return Banned
	case close == mesh.CloseKicked:
		return Kicked
	}
	return Rejected
}

// backoff is the wait after so many failures in a row: 1, 2, 4, 8, 16, 30, 30, … s.
func (t Timing) backoff(failures int) time.Duration {
	wait := t.ReconnectMin
	for range failures {
		if wait >= t.ReconnectMax {
			break
		}
		wait *= 2
	}
	return min(wait, t.ReconnectMax)
}

// jitter changes a wait by up to a fifth, so that those whom one broker lost do not come back at once. It makes none longer
// than the longest: with 30 s, who lost its network for a minute is back before its lease of 90 s ends (wire 2.4).
func (t Timing) jitter(wait time.Duration) time.Duration {
	low, high := wait*8/10, min(wait*12/10, t.ReconnectMax)
	return low + time.Duration(rand.Float64()*float64(high-low))
}

// goodbye says that the connection ends on purpose, to brokers that know the word.
func (l *Link) goodbye(a *attached) {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if l.Has(protocol.CapGo) {
		_ = protocol.Bye.Send(ctx, a.peer, protocol.Goodbye{}) // the close frame says it too
	}
	_ = a.conn.Close(mesh.CloseNormal, mesh.ReasonClosed) // the other end may be gone
}
