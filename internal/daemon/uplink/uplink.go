// Package uplink is one connection to a broker that stays: it dials, says hello, notices when the other end is gone,
// and connects again until it is told to stop or that coming back is no use (daemon 6).
package uplink

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// State is where a connection stands.
type State string

// The states. Rejected, Banned and Kicked stay until Retry.
const (
	Closed       State = "closed"       // Run has not begun, or has ended
	Connecting   State = "connecting"   // for the first time
	Open         State = "open"         // hello was acknowledged
	Reconnecting State = "reconnecting" // lost or refused for now; LastError says why
	Rejected     State = "rejected"     // the broker will not have this identity
	Banned       State = "banned"
	Kicked       State = "kicked"
)

// Final reports whether the connection waits for Retry instead of trying by itself.
func (s State) Final() bool { return s == Rejected || s == Banned || s == Kicked }

// Identity is who connects. With Session it is that session (session_hello), without it is the member's daemon
// (hello, peerRole control-plane, no session key).
type Identity struct {
	MeshID   mesh.ID
	MemberID mesh.ID
	Member   seal.SecretKey
	Session  seal.SecretKey
}

// DialFunc connects to a network address, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Timing holds the waits of a connection; zero fields mean the value named at them (daemon 6.3, 20).
type Timing struct {
	ReconnectMin time.Duration // 1 s; doubles with each failure
	ReconnectMax time.Duration // 30 s
	Ping         time.Duration // 30 s
	DeadAfter    time.Duration // 75 s
}

// Options configure a Link.
type Options struct {
	URL      string // ws:// or wss://; ws:// reaches this machine only (design C10)
	Pin      string // SPKI pin of a self-signed broker; empty means public certificates
	Identity Identity
	// Presence is asked at each hello. Its peerRole is set by the link.
	Presence func() protocol.Presence

	Dial           DialFunc // nil means the network of the machine
	Timing         Timing
	ReadLimitBytes int64 // largest frame of the broker; 0 means 16 MiB
	Now            mesh.Clock
	Log            *slog.Logger // nil is silence

	// OnPush and OnReceipt are called in the order of the frames on the goroutine that reads them: the next frame
	// waits until they return. OnPush sends client_ack itself, by way of the peer. Both are required.
	OnPush    func(context.Context, *wire.Peer, protocol.PushedMessage)
	OnReceipt func(context.Context, *wire.Peer, protocol.Receipt)
	// OnState, if set, is called after each change of state, on the goroutine of Run.
	OnState func(State)
}

// Link is one connection. Its methods may be called from any goroutine.
type Link struct{ opt Options }

// New returns a link that is Closed until Run. insecure_url and bad_request refuse URLs that can never be dialled.
func New(opt Options) (*Link, error) { panic("unwritten") }

// Run keeps the connection until ctx ends, then says bye, closes with session_closed, and returns nil when all its
// goroutines have ended.
func (l *Link) Run(ctx context.Context) error { panic("unwritten") }

// State is where the connection stands.
func (l *Link) State() State { panic("unwritten") }

// Changed is closed at the next change of state. Take it before reading State.
func (l *Link) Changed() <-chan struct{} { panic("unwritten") }

// Peer is the open connection; nil unless State is Open. It may end at any moment: its calls then fail with
// broker_unreachable.
func (l *Link) Peer() *wire.Peer { panic("unwritten") }

// LastError is why the link is not open, and nil while it is.
func (l *Link) LastError() error { panic("unwritten") }

// Limits are what the broker advertised last, else those of a broker that advertises none: 60 sends a minute,
// 10 at once, 65,536 bytes a frame, 48,000 a body (daemon 6.6).
func (l *Link) Limits() protocol.Limits { panic("unwritten") }

// Has reports whether the open connection was confirmed a capability.
func (l *Link) Has(capability string) bool { panic("unwritten") }

// Retry connects now instead of after the wait, and leaves a final state.
func (l *Link) Retry() { panic("unwritten") }

// Host is the broker of a URL (ws, wss, http or https) as signatures name it: lower-case host:port, the port always
// written (design C1). bad_request when the URL has no host, or user, query or fragment.
func Host(rawURL string) (string, error) { panic("unwritten") }

// Transport returns a transport that reaches brokers as links do: pinned or publicly certified by TLS, in clear text
// on this machine only (insecure_url), without proxies.
func Transport(dial DialFunc, pin string) (*http.Transport, error) { panic("unwritten") }

// Pin is the text of an SPKI pin: base64url of the SHA-256 of a certificate's public key, 43 characters.
func Pin(spki []byte) string { panic("unwritten") }

func pinned(pin string) (*tls.Config, error) { panic("unwritten") }
