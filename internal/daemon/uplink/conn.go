package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// How long dialling with its TLS and HTTP handshakes, writing one frame, and closing may take.
const (
	dialLimit  = 10 * time.Second
	writeLimit = 10 * time.Second
	closeLimit = 2 * time.Second
)

// CloseError is the close frame of a broker.
type CloseError struct {
	Code   mesh.CloseCode
	Reason string
}

// Error says the code and the reason.
func (e *CloseError) Error() string {
	return fmt.Sprintf("the broker closed the connection: %d %s", e.Code, e.Reason)
}

// conn is a WebSocket as package wire wants it.
type conn struct {
	ws        *websocket.Conn
	net       *tap
	challenge string        // of the answer to the upgrade; empty from a broker that knows no auth/2
	writing   chan struct{} // holds a token while a frame is written
	welcomed  bool          // hello_ack was read; Read's own
	unkept    error         // of a push; nothing is read after it. It belongs to who calls Read
}

// unkeptError says that a message that was pushed could not be kept here.
type unkeptError struct{ error }

// Unwrap gives the error behind it.
func (e *unkeptError) Unwrap() error { return e.error }

// tap notes that bytes came, whatever they mean: a large frame on a slow line is a sign of life too.
type tap struct {
	net.Conn
	came atomic.Bool
}

// Read notes bytes.
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.came.Store(true)
	}
	return n, err
}

// dial connects and upgrades. Redirects are refused: they could lead to another broker, or out of TLS.
func (l *Link) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	addr, err := Host(l.opt.URL)
	if err != nil {
		return nil, err
	}
	dial := l.dialer.clear
	if strings.HasPrefix(l.opt.URL, "wss:") {
		dial = l.dialer.secure
	}
	nc, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, dialError(nil, err)
	}
	line := &tap{Conn: nc}
	ws, resp, err := upgrade(ctx, l.opt.URL, line)
	if err != nil {
		_ = nc.Close() // the first error is the one to report
		return nil, dialError(resp, err)
	}
	ws.SetReadLimit(l.opt.ReadLimitBytes)
	return &conn{ws: ws, net: line, challenge: resp.Header.Get(protocol.ChallengeHeader), writing: make(chan struct{}, 1)}, nil
}

// upgrade makes a WebSocket of a connection. It was dialled before, as http.Transport dials in goroutines that outlive
// the request.
func upgrade(ctx context.Context, rawURL string, nc net.Conn) (*websocket.Conn, *http.Response, error) {
	t := bareTransport()
	t.DialContext = func(context.Context, string, string) (net.Conn, error) { return nc, nil }
	t.DialTLSContext = t.DialContext
	return websocket.Dial(ctx, rawURL, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: t, CheckRedirect: NoRedirect}, CompressionMode: websocket.CompressionDisabled,
	})
}

// dialError says why there is no connection.
func dialError(resp *http.Response, err error) error {
	switch code := mesh.CodeOf(err); {
	case code == mesh.InsecureURL, code == mesh.BrokerRefused, code == mesh.PinMismatch: // of our own dial
		return err
	case resp == nil:
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err // the URL is known
		}
		return mesh.Errorf(mesh.BrokerDown, "reach the broker: %w", err)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return mesh.Errorf(mesh.BrokerRefused, "the broker answered with a redirect, which is not followed")
	case resp.StatusCode == http.StatusTooManyRequests:
		return mesh.Errorf(mesh.RateLimited, "the broker was asked for too many connections by this network")
	case resp.StatusCode == http.StatusServiceUnavailable:
		return mesh.Errorf(mesh.Capacity, "the broker has no room for another connection")
	}
	return mesh.Errorf(mesh.BrokerRefused, "the broker answered the handshake with HTTP status %d", resp.StatusCode)
}

// Read returns the next frame. Before the welcome only the welcome and errors count: what else comes is from nobody.
func (c *conn) Read(ctx context.Context) ([]byte, error) {
	for {
		if c.unkept != nil {
			return nil, c.unkept
		}
		_, data, err := c.ws.Read(ctx)
		if err != nil {
			return nil, closeError(err)
		}
		if c.welcomed {
			return data, nil
		}
		h, err := wire.ReadHead(data)
		if err != nil || h.Type != protocol.Hello.Reply && h.Type != wire.ErrorType {
			continue
		}
		c.welcomed = h.Type == protocol.Hello.Reply
		return data, nil
	}
}

// closeError says why reading ended. A close frame for a frame that was too large blames the requests that are under
// way, and not the way to the broker (daemon 6.4).
func closeError(err error) error {
	var closed websocket.CloseError
	if !errors.As(err, &closed) {
		return mesh.Errorf(mesh.BrokerDown, "the line to the broker broke: %w", cause(err))
	}
	e := &CloseError{Code: mesh.CloseCode(closed.Code), Reason: closed.Reason}
	if e.Code == mesh.CloseTooBig {
		return mesh.Errorf(mesh.PayloadTooLarge, "a frame was larger than the broker takes: %w", e)
	}
	return mesh.Errorf(mesh.BrokerDown, "%w", e)
}

// errSilent is a line that ended without a close frame.
var errSilent = errors.New("it ended without a word")

// cause is what happened to a line, without the words of the library that noticed it.
func cause(err error) error {
	var op *net.OpError
	switch {
	case errors.As(err, &op):
		return op
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errSilent
	}
	return err
}

// Write writes a frame. Ctx ends the waiting for other writers, never a frame that was begun: half a frame would
// cost the connection.
func (c *conn) Write(ctx context.Context, frame []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.writing }()
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	return c.ws.Write(limited, websocket.MessageText, frame)
}

// Ping sends a ping and waits for its answer.
func (c *conn) Ping(ctx context.Context) error { return c.ws.Ping(ctx) }

// Close ends the connection with a close frame, whose answer it awaits for 2 s.
func (c *conn) Close(code mesh.CloseCode, reason string) error {
	cut := time.AfterFunc(closeLimit, func() { _ = c.net.Close() }) // the error is Close's
	defer cut.Stop()
	return c.ws.Close(websocket.StatusCode(code), reason)
}

// drop ends the connection without a word.
func (c *conn) drop() {
	_ = c.ws.CloseNow() // it is over, whatever this says
}

// heard reports whether bytes came since the last call.
func (c *conn) heard() bool { return c.net.came.Swap(false) }

// readableBytes bounds the text of an error, of which the broker may have written a megabyte.
const readableBytes = 300

// readable cuts the text of an error and takes out what a terminal would act on. Code and close frame stay.
func readable(err error) error {
	text := strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, err.Error()), " ")
	if len(text) > readableBytes {
		text = strings.ToValidUTF8(text[:readableBytes], "") + "…"
	}
	return &mesh.Error{Code: mesh.CodeOf(err), Err: plain{text, err}}
}

// plain is an error that prints as other text.
type plain struct {
	text string
	err  error
}

// Error gives the text.
func (p plain) Error() string { return p.text }

// Unwrap gives the error behind it.
func (p plain) Unwrap() error { return p.err }
