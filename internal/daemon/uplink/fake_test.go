package uplink

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// fake is a broker on a memory network, whose connections behave as a test says.
type fake struct {
	t     *testing.T
	conns chan net.Conn
	over  chan struct{}
	serve func(n int, ws *line) // one connection, from 1
	mute  int                   // the connections up to this one answer no ping
	offer func(n int) string    // the challenge of a connection; nil for a broker that knows none

	mu    sync.Mutex
	dials []time.Time
}

// line is the broker's end of a connection.
type line struct {
	*websocket.Conn
	t   *testing.T
	err error // why read ended
}

// newFake starts a broker inside a synctest bubble; it stops with the test.
func newFake(t *testing.T, serve func(n int, ws *line)) *fake {
	f := &fake{t: t, conns: make(chan net.Conn), over: make(chan struct{}), serve: serve}
	server := &http.Server{Handler: f}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(f) // ends with Close
	}()
	t.Cleanup(func() {
		_ = server.Close() // there is nobody to tell
		<-done
	})
	return f
}

// Accept gives the server its end of a pipe.
func (f *fake) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.over:
		return nil, net.ErrClosed
	}
}

func (f *fake) Close() error   { close(f.over); return nil }
func (f *fake) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (f *fake) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	f.mu.Lock()
	f.dials = append(f.dials, time.Now())
	f.mu.Unlock()
	if f.serve == nil {
		return nil, errors.New("nobody listens")
	}
	here, there := net.Pipe()
	select {
	case f.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// waits are the times between the dials.
func (f *fake) waits() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []time.Duration
	for i := 1; i < len(f.dials); i++ {
		out = append(out, f.dials[i].Sub(f.dials[i-1]))
	}
	return out
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	n := len(f.dials)
	f.mu.Unlock()
	if f.offer != nil {
		w.Header().Set(protocol.ChallengeHeader, f.offer(n))
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OnPingReceived: func(context.Context, []byte) bool { return n > f.mute },
	})
	if err != nil {
		f.t.Error(err)
		return
	}
	defer ws.CloseNow() // the script is over
	f.serve(n, &line{Conn: ws, t: f.t})
}

// read returns the next frame; false when the connection is over.
func (l *line) read() (map[string]any, bool) {
	_, data, err := l.Read(context.Background())
	if err != nil {
		l.err = err
		return nil, false
	}
	var frame map[string]any
	if err := json.Unmarshal(data, &frame); err != nil {
		l.t.Errorf("got frame %q, want JSON", data)
	}
	return frame, true
}

func (l *line) write(frame string) {
	_ = l.Write(context.Background(), websocket.MessageText, []byte(frame)) // the other end may be gone
}

const ackOurs = `{"type":"hello_ack","presenceId":"p","memberDisplayName":"x","capabilities":["claudemesh.go/1","client_ack"],` +
	`"limits":{"frameBytes":70000,"bodyBytes":50000,"sendPerSecond":20,"sendBurst":200,"messageTtlMs":1,"dedupeTtlMs":2}}`

const ackSeed = `{"type":"hello_ack","presenceId":"p","memberDisplayName":"x"}`

// welcome reads the hello and acknowledges it.
func (l *line) welcome(ack string) map[string]any {
	hello, _ := l.read()
	l.write(ack)
	return hello
}

// idle reads until the connection is over.
func (l *line) idle() {
	for {
		if _, ok := l.read(); !ok {
			return
		}
	}
}

// refuse answers the hello with an error and a close frame.
func (l *line) refuse(code string, close websocket.StatusCode, reason string) {
	l.read()
	if code != "" {
		l.write(`{"type":"error","code":"` + code + `","message":"no"}`)
	}
	_ = l.Close(close, reason) // the other end may be gone
}

// sent collects what a link handed out.
type sent struct {
	mu     sync.Mutex
	pushes []string
	states []State
}

func (s *sent) push(_ context.Context, _ *wire.Peer, m protocol.PushedMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushes = append(s.pushes, string(m.MessageID))
	return nil
}

func (s *sent) state(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = append(s.states, state)
}

func (s *sent) all() ([]string, []State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.pushes), slices.Clone(s.states)
}

func identity(session bool) Identity {
	id := Identity{MeshID: "mesh1", MemberID: "member1", Member: seal.NewSecretKey()}
	if session {
		id.Session = seal.NewSecretKey()
	}
	return id
}

// options are those of a link to the fake.
func (f *fake) options(out *sent) Options {
	return Options{
		URL: "ws://127.0.0.1:7900/ws", Identity: identity(false), Dial: f.dial, Now: time.Now,
		Presence:  func() protocol.Presence { return protocol.Presence{DisplayName: "alpha", CWD: "w"} },
		OnPush:    out.push,
		OnReceipt: func(context.Context, *wire.Peer, protocol.Receipt) {},
		OnState:   out.state,
	}
}

// start runs a link until stop is called, which waits for its end.
func start(t *testing.T, opt Options) (l *Link, stop func()) {
	t.Helper()
	l, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("got %v, want nil at the end", err)
		}
		if l.State() != Closed || l.Peer() != nil {
			t.Errorf("got %s and peer %v after the end, want closed and none", l.State(), l.Peer())
		}
	})
	t.Cleanup(stop)
	return l, stop
}

// settle lets d pass, and everything happen that then happens.
func settle(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func wantState(t *testing.T, l *Link, want State) {
	t.Helper()
	if got := l.State(); got != want {
		t.Fatalf("got state %s (%v), want %s", got, l.LastError(), want)
	}
}

func wantCode(t *testing.T, err error, want mesh.Code) {
	t.Helper()
	if !mesh.IsCode(err, want) {
		t.Errorf("got %v (%s), want %s", err, mesh.CodeOf(err), want)
	}
}
