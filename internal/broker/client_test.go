package broker

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// patience bounds what a test waits for. It is never waited for in a test that passes.
const patience = 20 * time.Second

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func encode(v any) []byte { return must(wire.Encode(v)) }

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// client is a WebSocket of a test. What it is sent waits in frames.
type client struct {
	ws     *websocket.Conn
	from   arrival // under which it came
	frames chan string
	closed chan struct{}
	code   websocket.StatusCode // after closed
	reason string
}

// connect opens a WebSocket and says nothing.
func (s *site) connect(t testing.TB) *client {
	t.Helper()
	ws, resp, err := websocket.Dial(t.Context(), s.base+protocol.PathSocket, &websocket.DialOptions{HTTPClient: s.web})
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(64 << 20)
	from := arrival{[]string{s.host()}, resp.Header.Get(protocol.ChallengeHeader)}
	c := &client{ws: ws, from: from, frames: make(chan string, 1<<14), closed: make(chan struct{})}
	go c.read()
	t.Cleanup(func() { _ = ws.CloseNow(); <-c.closed })
	return c
}

func (c *client) read() {
	defer close(c.closed)
	for {
		_, data, err := c.ws.Read(context.Background())
		if err != nil {
			c.code = websocket.CloseStatus(err)
			var e websocket.CloseError
			if errors.As(err, &e) {
				c.reason = e.Reason
			}
			return
		}
		c.frames <- string(data)
	}
}

func (c *client) send(t testing.TB, frame []byte) {
	t.Helper()
	if err := c.ws.Write(context.Background(), websocket.MessageText, frame); err != nil {
		t.Fatal(err)
	}
}

// next waits for a frame.
func (c *client) next(t testing.TB) string {
	t.Helper()
	select {
	case f := <-c.frames:
		return f
	case <-c.closed:
		select {
		case f := <-c.frames:
			return f
		default:
		}
		t.Fatalf("closed with %d %q, want a frame", c.code, c.reason)
	case <-time.After(patience):
		t.Fatal("no frame came")
	}
	return ""
}

// wantClose waits for the end and compares how it came.
func (c *client) wantClose(t testing.TB, code websocket.StatusCode, reason string) {
	t.Helper()
	select {
	case <-c.closed:
	case <-time.After(patience):
		t.Fatalf("not closed, want %d %q", code, reason)
	}
	if c.code != code || c.reason != reason {
		t.Errorf("closed with %d %q, want %d %q", c.code, c.reason, code, reason)
	}
}

// wantError waits for an error frame of a code.
func (c *client) wantError(t testing.TB, code string) {
	t.Helper()
	if got := c.next(t); !strings.Contains(got, `"type":"error"`) || !strings.Contains(got, `"code":"`+code+`"`) {
		t.Errorf("got %.300s, want error %s", got, code)
	}
}

// leave says bye and waits for the end.
func (c *client) leave(t testing.TB) {
	t.Helper()
	c.send(t, []byte(`{"type":"bye"}`))
	c.wantClose(t, websocket.StatusNormalClosure, "session_closed")
}

// hello is a signed hello of a member, to be edited before it is signed.
func (m *team) hello(p person, edit func(*protocol.HelloRequest)) []byte {
	req := protocol.HelloRequest{
		MeshID: string(m.id), MemberID: string(p.id), Pubkey: p.pub(), Capabilities: protocol.Capabilities(),
		Presence: protocol.Presence{SessionID: "s-" + p.name, CWD: "x"}, Timestamp: m.site.now().UnixMilli(),
	}
	if edit != nil {
		edit(&req)
	}
	if req.Signature == "" {
		req.Signature = signHello(req, p.key)
	}
	return must(protocol.Hello.Encode("", req))
}

func signHello(req protocol.HelloRequest, key seal.SecretKey) string {
	text := seal.Hello{MeshID: req.MeshID, MemberID: req.MemberID, Member: key.Public(), At: time.UnixMilli(req.Timestamp)}
	return must(text.Sign(key)).String()
}

// sessionHello is a signed hello of a session.
func (m *team) sessionHello(p person, session seal.SecretKey, edit func(*protocol.SessionHelloRequest)) []byte {
	now := m.site.now()
	req := protocol.SessionHelloRequest{
		MeshID: string(m.id), ParentMemberID: string(p.id), ParentMemberPubkey: p.pub(), SessionPubkey: session.Public().String(),
		Capabilities: protocol.Capabilities(), Presence: protocol.Presence{SessionID: "s", CWD: "x"}, Timestamp: now.UnixMilli(),
	}
	attested := seal.Attestation{Parent: p.key.Public(), Session: session.Public(), ExpiresAt: now.Add(seal.AttestationLifetime)}
	req.ParentAttestation = protocol.Attestation{
		SessionPubkey: req.SessionPubkey, ParentMemberPubkey: req.ParentMemberPubkey, ExpiresAt: attested.ExpiresAt.UnixMilli(),
		Signature: must(attested.Sign(p.key)).String(),
	}
	if edit != nil {
		edit(&req)
	}
	if req.Signature == "" {
		text := seal.SessionHello{MeshID: req.MeshID, Parent: p.key.Public(), Session: session.Public(), At: time.UnixMilli(req.Timestamp)}
		req.Signature = must(text.Sign(session)).String()
	}
	return must(protocol.SessionHello.Encode("", req))
}

// enter connects and says hello until it is let in: two hellos of one member in one millisecond are the same.
func (m *team) enter(t testing.TB, p person, edit func(*protocol.HelloRequest)) *client {
	t.Helper()
	for range 100 {
		c := m.site.connect(t)
		c.send(t, m.hello(p, edit))
		got := c.next(t)
		if strings.Contains(got, `"type":"hello_ack"`) {
			return c
		}
		if !strings.Contains(got, `"code":"replay"`) {
			t.Fatalf("got %s, want hello_ack", got)
		}
		<-c.closed
		<-time.After(time.Millisecond) // the clock of a bubble stands still
	}
	t.Fatal("every hello was a replay")
	return nil
}

// enterSession connects and says hello as a session.
func (m *team) enterSession(t testing.TB, p person, session seal.SecretKey) *client {
	t.Helper()
	c := m.site.connect(t)
	c.send(t, m.sessionHello(p, session, nil))
	if got := c.next(t); !strings.Contains(got, `"type":"hello_ack"`) {
		t.Fatalf("got %s, want hello_ack", got)
	}
	return c
}

// raw is a connection that speaks frames of its own making.
type raw struct {
	net.Conn
	r *bufio.Reader
}

// upgradeRaw opens a WebSocket by hand.
func (s *site) upgradeRaw(t testing.TB) *raw {
	t.Helper()
	conn, err := s.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n", s.host())
	if err != nil {
		t.Fatal(err)
	}
	c := &raw{Conn: conn, r: bufio.NewReader(conn)}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got status %d, want 101", resp.StatusCode)
	}
	return c
}

// closeCode reads frames until the close frame and returns its code; 0 when the connection ended without.
func (c *raw) closeCode(t testing.TB) int {
	t.Helper()
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(c.r, head); err != nil {
			return 0
		}
		size := int64(head[1] & 0x7f)
		if size >= 126 {
			long := make([]byte, map[int64]int{126: 2, 127: 8}[size])
			if _, err := io.ReadFull(c.r, long); err != nil {
				return 0
			}
			size = int64(binary.BigEndian.Uint64(append(make([]byte, 8-len(long)), long...)))
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(c.r, payload); err != nil {
			return 0
		}
		if head[0]&0x0f == 8 && size >= 2 {
			return int(payload[0])<<8 | int(payload[1])
		}
	}
}
