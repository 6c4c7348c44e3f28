package uplink

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestHost(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"ws://127.0.0.1:7900/ws":             "127.0.0.1:7900",
		"wss://Mesh.Example/ws":              "mesh.example:443",
		"https://mesh.example":               "mesh.example:443",
		"http://localhost/x":                 "localhost:80",
		"ws://[::1]:7900/ws":                 "[::1]:7900",
		"wss://[2001:DB8::1]/ws":             "[2001:db8::1]:443",
		"ftp://mesh.example/ws":              "",
		"WSS://mesh.example/ws":              "",
		"wss:mesh.example/ws":                "",
		"mesh.example:7900":                  "",
		"wss://user:pw@mesh.example/":        "",
		"wss://mesh.example/ws?x=1":          "",
		"wss://mesh.example/ws?":             "",
		"wss://mesh.example/ws#x":            "",
		"wss://mesh.example/ws#":             "",
		"wss:///ws":                          "",
		"wss://mesh.example:x/ws":            "",
		"wss://möhre.example/ws":             "",
		"":                                   "",
		"wss://" + strings.Repeat("x", 2000): "",
	} {
		got, err := Host(url)
		if got != want || (want == "") != mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%.60q: got %q, %v, want %q", url, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("got %v, want the URL's password kept out of it", err)
		}
	}
}

func TestClearTextIsForThisMachine(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]mesh.Code{
		"ws://127.0.0.1:7900/ws":     "",
		"ws://127.9.9.9:7900/ws":     "",
		"ws://[::1]:7900/ws":         "",
		"ws://[::ffff:127.0.0.1]/ws": "",
		"ws://localhost:7900/ws":     "",
		"wss://10.0.0.1/ws":          "",
		"ws://10.0.0.1:7900/ws":      mesh.InsecureURL,
		"ws://0.0.0.0:7900/ws":       mesh.InsecureURL,
		"ws://[::ffff:10.0.0.1]/ws":  mesh.InsecureURL,
		"http://127.0.0.1/ws":        mesh.BadRequest,
	} {
		opt := Options{URL: url}
		if _, err := New(opt); mesh.CodeOf(err) != want {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
}

// remote is a connection that says it leads elsewhere.
type remote struct{ net.Conn }

func (remote) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80} }

// TestNamesAreJudgedByTheirAddress uses a name that leads to another machine, in clear text.
func TestNamesAreJudgedByTheirAddress(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer there.Close()
	written := make(chan error, 1)
	go func() {
		_, err := there.Read(make([]byte, 1))
		written <- err
	}()
	opt := (&fake{t: t}).options(new(sent))
	opt.URL = "ws://mesh.example/ws"
	opt.Dial = func(context.Context, string, string) (net.Conn, error) { return remote{here}, nil }
	l, _ := start(t, opt)
	waitFor(t, l, Rejected)
	wantCode(t, l.LastError(), mesh.InsecureURL)
	if err := <-written; err == nil {
		t.Error("got a byte on the wire, want none")
	}
	if err := loopbackOnly(t.Context(), "tcp4", "10.0.0.1:80", nil); !mesh.IsCode(err, mesh.InsecureURL) {
		t.Errorf("got %v, want insecure_url before the connection", err)
	}
	if err := loopbackOnly(t.Context(), "tcp6", "[::1]:80", nil); err != nil {
		t.Errorf("got %v, want this machine allowed", err)
	}
}

// waitFor waits on a real network.
func waitFor(t *testing.T, l *Link, want State) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		changed := l.Changed()
		if l.State() == want {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("got state %s (%v), want %s", l.State(), l.LastError(), want)
		}
	}
}

func TestRedirectsAreRefused(t *testing.T) {
	t.Parallel()
	var visits atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer other.Close()
	first := httptest.NewTLSServer(http.RedirectHandler(other.URL+"/ws", http.StatusTemporaryRedirect))
	defer first.Close()
	opt := (&fake{t: t}).options(new(sent))
	opt.Dial, opt.URL, opt.Pin = nil, strings.Replace(first.URL, "https", "wss", 1)+"/ws", Pin(first.Certificate())
	l, _ := start(t, opt)
	waitFor(t, l, Reconnecting)
	wantCode(t, l.LastError(), mesh.BrokerRefused)
	if !strings.Contains(l.LastError().Error(), "redirect") || visits.Load() != 0 {
		t.Errorf("got %v and %d visits elsewhere, want a redirect that is not followed", l.LastError(), visits.Load())
	}
}

func TestHandshakeStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]mesh.Code{
		http.StatusNotFound: mesh.BrokerRefused, http.StatusTooManyRequests: mesh.RateLimited, http.StatusServiceUnavailable: mesh.Capacity,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
			t.Cleanup(server.Close)
			opt := (&fake{t: t}).options(new(sent))
			opt.Dial, opt.URL = nil, strings.Replace(server.URL, "http", "ws", 1)+"/ws"
			l, _ := start(t, opt)
			waitFor(t, l, Reconnecting)
			wantCode(t, l.LastError(), want)
		})
	}
}

// TestPins connects to a broker with a certificate of its own.
func TestPins(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.CloseNow() // the client is gone
		l := &line{Conn: ws, t: t}
		l.welcome(ackOurs)
		l.idle()
	}))
	t.Cleanup(server.Close)
	pin := Pin(server.Certificate())
	for name, tc := range map[string]struct {
		pin  string
		want State
		code mesh.Code
	}{
		"right pin": {pin, Open, ""},
		"wrong pin": {strings.Repeat("A", 43), Reconnecting, mesh.PinMismatch},
		"no pin":    {"", Reconnecting, mesh.BrokerDown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opt := (&fake{t: t}).options(new(sent))
			opt.Dial, opt.URL, opt.Pin = nil, strings.Replace(server.URL, "https", "wss", 1)+"/ws", tc.pin
			l, _ := start(t, opt)
			waitFor(t, l, tc.want)
			if got := mesh.CodeOf(l.LastError()); got != tc.code {
				t.Errorf("got %v, want %q", l.LastError(), tc.code)
			}
		})
	}
	if _, err := New(Options{URL: "wss://mesh.example/ws", Pin: pin[1:]}); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("got %v, want a pin of another length refused", err)
	}
}
