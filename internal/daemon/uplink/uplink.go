// Package uplink is one connection to a broker that stays: it dials, says hello, notices when the other end is gone,
// and connects again until it is told to stop or that coming back is no use (daemon 6).
package uplink

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// State is where a connection stands.
type State string

// The states. Rejected, Banned, Kicked and Unsupported stay until Retry.
const (
	Closed       State = "closed"       // Run has not begun, or has ended
	Connecting   State = "connecting"   // for the first time
	Open         State = "open"         // hello was acknowledged
	Reconnecting State = "reconnecting" // lost or refused; LastError says why
	Rejected     State = "rejected"     // the broker will not have this identity, or the URL cannot be used
	Banned       State = "banned"
	Kicked       State = "kicked"
	Unsupported  State = "unsupported" // the broker does not know connections of sessions
)

// Final reports whether the connection waits for Retry instead of trying by itself.
func (s State) Final() bool { return s == Rejected || s == Banned || s == Kicked || s == Unsupported }

// DialFunc connects to a network address, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Options configure a Link.
type Options struct {
	URL      string // ws:// or wss://; ws:// reaches this machine only (design C10)
	Pin      string // SPKI pin of a self-signed broker, as Pin gives it; empty means public certificates
	Identity Identity
	// Presence is asked at each hello. The link sets its peerRole, and sessionId and channel where they are empty.
	Presence func() protocol.Presence

	Dial           DialFunc // nil means the network of the machine
	Timing         Timing
	ReadLimitBytes int64 // largest frame of the broker; 0 means 16 MiB
	Now            mesh.Clock
	Log            *slog.Logger // nil is silence

	// OnPush and OnReceipt are called in the order of the frames on the goroutine that reads them: the next frame
	// waits until they return. OnPush sends client_ack itself, by way of the peer; its error says that the message was
	// not kept, and ends the connection: those after it must not overtake it. Both are required.
	OnPush    func(context.Context, *wire.Peer, protocol.PushedMessage) error
	OnReceipt func(context.Context, *wire.Peer, protocol.Receipt)
	// Strongest, if set, is the strongest handshake that the broker ever spoke for this mesh, 1 or 2; a weaker one is
	// refused from then on (design C4). Spoke, if set, is told of one above 1, before the link is Open.
	Strongest func() int
	Spoke     func(version int)
	// OnState, if set, is called after each change of state, on the goroutine of Run.
	OnState func(State)
}

// Timing holds the waits of a connection; zero fields mean the value named at them (daemon 6.3, 20).
type Timing struct {
	ReconnectMin time.Duration // 1 s; doubles with each failure
	ReconnectMax time.Duration // 30 s
	Ping         time.Duration // 30 s
	DeadAfter    time.Duration // 75 s
}

func (t Timing) withDefaults() Timing {
	for _, d := range []struct {
		to    *time.Duration
		value time.Duration
	}{
		{&t.ReconnectMin, time.Second}, {&t.ReconnectMax, 30 * time.Second}, {&t.Ping, 30 * time.Second}, {&t.DeadAfter, 75 * time.Second},
	} {
		if *d.to <= 0 {
			*d.to = d.value
		}
	}
	return t
}

// Link is one connection. Its methods may be called from any goroutine.
type Link struct {
	opt    Options
	log    *slog.Logger
	dialer dialer
	mux    *wire.Mux[*wire.Peer]
	retry  chan struct{}   // holds one wish to connect now
	nudge  chan struct{}   // holds one wish to see whether the connection lives
	word   *protocol.Vouch // for the session key, that the broker took lately; of the goroutine of Run

	mu      sync.Mutex // guards what follows
	state   State
	err     error
	peer    *wire.Peer
	welcome protocol.HelloAnswer
	auth    int // version of the handshake of the last welcome; 0 before
	changed chan struct{}
}

// readLimit is the largest frame that a broker may send (daemon 6).
const readLimit = 16 << 20

// New returns a link that is Closed until Run. bad_request and insecure_url refuse a URL or pin that can never be
// used.
func New(opt Options) (*Link, error) {
	if err := checkURL(opt.URL); err != nil {
		return nil, err
	}
	d, err := newDialer(opt.Dial, opt.Pin)
	if err != nil {
		return nil, err
	}
	opt.Timing = opt.Timing.withDefaults()
	if opt.ReadLimitBytes <= 0 {
		opt.ReadLimitBytes = readLimit
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	l := &Link{
		opt: opt, log: opt.Log, dialer: d, mux: wire.NewMux[*wire.Peer](),
		retry: make(chan struct{}, 1), nudge: make(chan struct{}, 1), state: Closed, changed: make(chan struct{}),
	}
	wire.On(l.mux, protocol.Push, func(ctx context.Context, p *wire.Peer, msg protocol.PushedMessage) {
		if err := opt.OnPush(ctx, p, msg); err != nil {
			p.Conn().(*conn).unkept = &unkeptError{err}
		}
	})
	wire.On(l.mux, protocol.Receipts, opt.OnReceipt)
	return l, nil
}

// State is where the connection stands.
func (l *Link) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Changed is closed at the next change of state. Take it before reading State.
func (l *Link) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Peer is the open connection; nil unless State is Open. It may end at any moment: its calls then fail with
// broker_unreachable.
func (l *Link) Peer() *wire.Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peer
}

// LastError is why the link is not open; nil while it is, and before the first failure. Its text is safe to print,
// and at most 300 bytes of it are the broker's.
func (l *Link) LastError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// modest are the limits of a broker that advertises none (daemon 6.6). How long it keeps a message, or the id of one,
// is not known.
var modest = protocol.Limits{FrameBytes: 65_536, BodyBytes: 48_000, SendPerSecond: 1, SendBurst: 10}

// Limits are what the broker advertised in its last welcome; what it left out is that of a broker that advertises
// nothing: 60 sends a minute, 10 at once, 65,536 bytes a frame, 48,000 a body.
func (l *Link) Limits() protocol.Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.welcome.Limits == nil {
		return modest
	}
	got := *l.welcome.Limits
	if got.FrameBytes <= 0 {
		got.FrameBytes = modest.FrameBytes
	}
	if got.BodyBytes <= 0 {
		got.BodyBytes = modest.BodyBytes
	}
	if got.SendPerSecond <= 0 || got.SendBurst <= 0 {
		got.SendPerSecond, got.SendBurst = modest.SendPerSecond, modest.SendBurst
	}
	return got
}

// Auth is the version of the handshake by which the broker was last spoken to: 1 or 2, and 0 before the first welcome.
func (l *Link) Auth() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.auth
}

// Mesh is what the broker said of the mesh in its last welcome; nil when it said nothing.
func (l *Link) Mesh() *protocol.MeshFacts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.welcome.Mesh
}

// Has reports whether the connection is open and the broker confirmed a capability of the hello (design B2).
func (l *Link) Has(capability string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peer != nil && slices.Contains(l.welcome.Capabilities, capability)
}

// Answers refuses a request that the broker of a link would never answer, with broker_too_old: only ours know it, and this
// one is another (wire TRAP E). Without a connection nothing is known, and the error is broker_unreachable.
func Answers(l *Link, e *wire.Entry) error {
	switch {
	case l.Peer() == nil:
		return mesh.Errorf(mesh.BrokerDown, "not connected")
	case e.Ours && !l.Has(protocol.CapGo):
		return mesh.Errorf(mesh.BrokerTooOld, "this broker does not know %s", e.Type)
	}
	return nil
}

// Retry connects now instead of after the wait, and leaves a final state.
func (l *Link) Retry() {
	select {
	case l.retry <- struct{}{}:
	default: // the wish is known
	}
}

// Nudge says that the machine slept, or that its network changed: an open connection has to prove within 5 s that it
// lives, and one that waits for its next try is made now, as if it had not failed before. A final state stays.
func (l *Link) Nudge() {
	select {
	case l.nudge <- struct{}{}:
	default: // the wish is known
	}
}

// set changes the state. Peer and error belong to it.
func (l *Link) set(s State, err error, peer *wire.Peer) {
	l.mu.Lock()
	changed := s != l.state
	l.state, l.err, l.peer = s, err, peer
	if changed {
		close(l.changed)
		l.changed = make(chan struct{})
	}
	l.mu.Unlock()
	if changed && l.opt.OnState != nil {
		l.opt.OnState(s)
	}
}
