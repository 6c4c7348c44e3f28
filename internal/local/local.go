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
	"sync"
	"syscall"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxAnswer bounds the body of one answer; the largest is a page of 1,000 messages.
const maxAnswer = 128 << 20

// dialTimeout bounds connecting to a socket: a listener with a full backlog blocks.
const dialTimeout = 2500 * time.Millisecond

// Client calls one daemon. Calls may come from several goroutines; they take turns.
type Client struct {
	socket string
	now    mesh.Clock
	// Token gives the session token of a verb run inside a host session, read anew for each request; nil means none.
	Token func() string

	mu   sync.Mutex
	conn net.Conn
	in   *bufio.Reader
}

// New returns a client of the daemon behind a socket. It opens nothing.
func New(socket string, now mesh.Clock) *Client { return &Client{socket: socket, now: now} }

// Close ends the connection.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// Do carries one request (localapi.Doer). No daemon is daemon_down; a connection that broke after the request was
// written is timeout, because the daemon may have done it: ask again with the same client message id.
func (c *Client) Do(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.connect(ctx); err != nil {
		return localapi.Response{}, err
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // wakes the read below
	resp, err := c.exchange(r)
	if !stop() || err != nil || resp.last {
		_ = conn.Close() // what is left on it belongs to nobody
		c.conn = nil
	}
	if err != nil {
		if ctx.Err() != nil {
			return localapi.Response{}, ctx.Err()
		}
		return localapi.Response{}, mesh.Errorf(mesh.Timeout, "the daemon broke off: %w", err)
	}
	return resp.Response, nil
}

// answer is a response, and whether the daemon closes the connection behind it.
type answer struct {
	localapi.Response
	last bool
}

func (c *Client) connect(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	conn, err := Dial(ctx, c.socket)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReaderSize(conn, 8<<10)
	return nil
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
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK):
		return nil, mesh.Errorf(mesh.DaemonDown, "the daemon does not run")
	}
	return nil, mesh.Errorf(mesh.DaemonDown, "reach the daemon: %w", err)
}

func (c *Client) exchange(r localapi.Request) (answer, error) {
	if _, err := c.conn.Write(c.head(r)); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{}, err
	}
	if len(body) > maxAnswer {
		return answer{}, errors.New("the answer is too large")
	}
	return answer{localapi.Response{Status: resp.StatusCode, Body: body}, resp.Close}, nil
}

// head writes a request with its body, in one piece.
func (c *Client) head(r localapi.Request) []byte {
	b := bytes.NewBuffer(make([]byte, 0, 256+len(r.Body)))
	fmt.Fprintf(b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", r.Method, r.Path)
	if c.Token != nil {
		if token := c.Token(); token != "" {
			fmt.Fprintf(b, "X-Claudemesh-Session: %s\r\n", token)
		}
	}
	if r.Body != nil {
		b.WriteString("Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(r.Body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(r.Body)
	return b.Bytes()
}
