// Package local is the client of the daemon's socket: it carries requests, follows events, and starts the daemon when
// it is down.
//
// It speaks HTTP/1.1 by hand over one connection, because a verb makes one request and http.Client costs more than
// that request.
package local

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxAnswer bounds the body of one answer; the largest is a page of 1,000 messages.
const maxAnswer = 128 << 20

// dialTimeout bounds connecting to a socket: on some systems a listener with a full backlog makes us wait.
const dialTimeout = 2500 * time.Millisecond

// Client calls one daemon. Calls may come from several goroutines; they take turns.
type Client struct {
	socket string
	now    mesh.Clock
	// Token gives the session token of a verb run inside a host session, read anew for each request; nil means none.
	Token func() string

	limitBytes int64         // of one answer
	silence    time.Duration // after which a stream is taken for dead
	turn       chan struct{} // full while a call is under way, which then owns what follows
	conn       net.Conn      // nil when there is none
	in         *bufio.Reader
}

// New returns a client of the daemon behind a socket. It opens nothing.
func New(socket string, now mesh.Clock) *Client {
	return &Client{socket: socket, now: now, limitBytes: maxAnswer, silence: maxSilence, turn: make(chan struct{}, 1)}
}

// Close ends the connection once no call is under way. A later call makes another one.
func (c *Client) Close() error {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	return c.drop()
}

// drop closes the connection, if there is one.
func (c *Client) drop() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// Do carries one request (localapi.Doer). No daemon, or one that takes no whole request, is daemon_down; a connection
// that broke after the request was written is timeout, because the daemon may have done it: ask again with the same
// client message id. A connection that was idle may have been closed meanwhile: what certainly was not done, or may be
// done twice, is asked once more on a new one.
func (c *Client) Do(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return localapi.Response{}, ctx.Err()
	}
	idle := c.conn != nil
	resp, err := c.ask(ctx, r)
	var lost *lostError
	if idle && errors.As(err, &lost) && (!lost.written || r.Method == http.MethodGet) {
		resp, err = c.ask(ctx, r)
	}
	return resp, err
}

// ask makes one exchange and keeps the connection if it can serve another.
func (c *Client) ask(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	if c.conn == nil {
		conn, err := Dial(ctx, c.socket)
		if err != nil {
			return localapi.Response{}, err
		}
		c.conn, c.in = conn, bufio.NewReaderSize(conn, 8<<10)
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // wakes the exchange
	resp, err := c.exchange(r)
	if !stop() || err != nil || resp.last {
		_ = c.drop() // what is left on it belongs to nobody
	}
	if err != nil && ctx.Err() != nil {
		return localapi.Response{}, ctx.Err()
	}
	return resp.Response, err
}

// answer is a response, and whether the connection ends behind it.
type answer struct {
	localapi.Response
	last bool
}

// lostError is a request without any answer.
type lostError struct {
	err     *mesh.Error
	written bool // whole: the daemon may have done it
}

// Error says what happened.
func (e *lostError) Error() string { return e.err.Error() }

// Unwrap gives the error with its code.
func (e *lostError) Unwrap() error { return e.err }

// exchange writes a request and reads its answer. A daemon may answer, and close, before it has read all of a request
// that it refuses.
func (c *Client) exchange(r localapi.Request) (answer, error) {
	_, unwritten := c.conn.Write(c.head(r))
	if _, err := c.in.Peek(1); err != nil {
		if unwritten != nil {
			return answer{}, &lostError{mesh.Errorf(mesh.DaemonDown, "ask the daemon: %w", unwritten), false}
		}
		return answer{}, &lostError{mesh.Errorf(mesh.Timeout, "the daemon broke off: %w", err), true}
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return answer{}, mesh.Errorf(mesh.Timeout, "read the daemon's answer: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.limitBytes+1))
	switch {
	case err != nil:
		return answer{}, mesh.Errorf(mesh.Timeout, "read the daemon's answer: %w", err)
	case int64(len(body)) > c.limitBytes:
		return answer{}, mesh.Errorf(mesh.Internal, "the daemon's answer is over %d bytes", c.limitBytes)
	}
	return answer{localapi.Response{Status: resp.StatusCode, Body: body}, resp.Close || unwritten != nil}, nil
}

// head writes a request with its body, in one piece, and with further header lines.
func (c *Client) head(r localapi.Request, lines ...string) []byte {
	b := bytes.NewBuffer(make([]byte, 0, 256+len(r.Body)))
	fmt.Fprintf(b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", r.Method, r.Path)
	if c.Token != nil {
		if token := c.Token(); token != "" {
			lines = append(lines, "X-Claudemesh-Session: "+token)
		}
	}
	for _, line := range lines {
		if !strings.ContainsAny(line, "\r\n") { // a file of ours that was damaged must not add lines
			b.WriteString(line + "\r\n")
		}
	}
	if r.Body != nil {
		b.WriteString("Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(r.Body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(r.Body)
	return b.Bytes()
}

// Dial connects to a daemon's socket after checking that it is the user's own. No daemon is daemon_down.
func Dial(ctx context.Context, socket string) (net.Conn, error) {
	if err := checkOwner(socket); err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "unix", socket)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return nil, mesh.Errorf(mesh.DaemonDown, "the daemon does not run")
	}
	return nil, mesh.Errorf(mesh.DaemonDown, "reach the daemon: %w", err)
}
