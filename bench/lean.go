package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// lean is a WebSocket client that costs as little as can be: what is measured shares the machine with it. It acknowledges
// in one write what came in one read.
type lean struct {
	conn net.Conn
	r    *bufio.Reader
	key  seal.PublicKey

	mu  sync.Mutex
	out []byte
}

// dialLean connects as a new session of a member, and returns after the answer to its hello.
func dialLean(ctx context.Context, m member, name string) (*lean, error) {
	parent, err := seal.ParseSecretKey(m.SecretKey)
	if err != nil {
		return nil, err
	}
	session := seal.NewSecretKey()
	hello, err := sessionHello(m, parent, session, name)
	if err != nil {
		return nil, err
	}
	return dialSaying(ctx, m.BrokerURL, session.Public(), hello)
}

// dialSaying connects with a hello that was signed before, and returns after the answer to it.
func dialSaying(ctx context.Context, url string, session seal.PublicKey, hello []byte) (*lean, error) {
	c, err := upgradeLean(ctx, url)
	if err != nil {
		return nil, err
	}
	c.key = session
	if err := c.write(hello); err != nil {
		return nil, err
	}
	answer, err := c.next()
	if err != nil || !bytes.Contains(answer, []byte(`"hello_ack"`)) {
		return nil, fmt.Errorf("hello refused: %s %w", answer, err)
	}
	return c, nil
}

// upgradeLean makes the connection.
func upgradeLean(ctx context.Context, rawURL string) (*lean, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	c := &lean{conn: conn, r: bufio.NewReaderSize(conn, 4<<10)}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", u.Path, u.Host)
	if err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("upgrade: %s", resp.Status)
	}
	return c, nil
}

func (c *lean) close() { c.conn.Close() }

// bye leaves for good: without it the broker expects the session back for a while.
func (c *lean) bye() {
	c.write([]byte(`{"type":"bye"}`))
	c.conn.Close()
}

// wide gives the client a larger buffer, for one that is sent much.
func (c *lean) wide() { c.r = bufio.NewReaderSize(c.r, 64<<10) }

// add puts a frame behind what is to be written. Its mask is zero: it has to have one, and nobody looks at it.
func (c *lean) add(parts ...string) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	c.out = append(c.out, 0x81)
	switch {
	case n < 126:
		c.out = append(c.out, 0x80|byte(n))
	default:
		c.out = binary.BigEndian.AppendUint16(append(c.out, 0x80|126), uint16(n))
	}
	c.out = append(c.out, 0, 0, 0, 0)
	for _, p := range parts {
		c.out = append(c.out, p...)
	}
}

// flush writes what was added.
func (c *lean) flush() error {
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *lean) write(frame []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(string(frame))
	return c.flush()
}

// send writes a message of a prepared frame, with an id such as a daemon makes.
func (c *lean) send(frame []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addMessage(frame)
	return c.flush()
}

func (c *lean) addMessage(frame []string) {
	id := string(mesh.NewClientID(time.Now()))
	c.add(frame[0], id, frame[1], id, frame[2])
}

// sendLater is send, in one write with what is sent before the next wait.
func (c *lean) sendLater(frame []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addMessage(frame)
}

// flushOut writes what was to be sent later.
func (c *lean) flushOut() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) == 0 {
		return nil
	}
	return c.flush()
}

// header reads the head of the next frame that is not a control frame; pings are answered. What was to be sent later is sent
// before it waits.
func (c *lean) header() (int, error) {
	for {
		if c.r.Buffered() == 0 {
			if err := c.flushOut(); err != nil {
				return 0, err
			}
		}
		head, err := c.r.Peek(2)
		if err != nil {
			return 0, err
		}
		op, n, size := head[0]&15, int(head[1]&127), 2
		switch n {
		case 126:
			size = 4
		case 127:
			size = 10
		}
		if head, err = c.r.Peek(size); err != nil {
			return 0, err
		}
		switch n {
		case 126:
			n = int(binary.BigEndian.Uint16(head[2:]))
		case 127:
			n = int(binary.BigEndian.Uint64(head[2:]))
		}
		c.r.Discard(size)
		if op == 8 {
			return 0, io.EOF
		}
		if op < 8 {
			return n, nil
		}
		c.r.Discard(n)
		if op == 9 {
			c.mu.Lock()
			_, err = c.conn.Write([]byte{0x8a, 0x80, 0, 0, 0, 0})
			c.mu.Unlock()
			if err != nil {
				return 0, err
			}
		}
	}
}

// next reads a frame.
func (c *lean) next() ([]byte, error) {
	n, err := c.header()
	if err != nil {
		return nil, err
	}
	data := make([]byte, n)
	_, err = io.ReadFull(c.r, data)
	return data, err
}

const pushHead = `{"type":"push","messageId":"`

// receive acknowledges every message until the connection ends, and reports how many came at once.
func (c *lean) receive(came func(int)) {
	c.wide()
	var id [32]byte
	for waiting := 0; ; {
		n, err := c.header()
		if err != nil {
			return
		}
		head, err := c.r.Peek(min(n, len(pushHead)+len(id)))
		if err != nil {
			return
		}
		if bytes.HasPrefix(head, []byte(pushHead)) {
			copy(id[:], head[len(pushHead):])
			c.mu.Lock()
			c.add(`{"type":"client_ack","brokerMessageId":"`, string(id[:]), `"}`)
			c.mu.Unlock()
			waiting++
		}
		if _, err := c.r.Discard(n); err != nil {
			return
		}
		if c.r.Buffered() > 0 && waiting < 32 {
			continue
		}
		c.mu.Lock()
		err = c.flush()
		c.mu.Unlock()
		if err != nil {
			return
		}
		came(waiting)
		waiting = 0
	}
}

// acked reads until the next answer to a send; a refusal is an error.
func (c *lean) acked() error {
	for {
		data, err := c.next()
		switch {
		case err != nil:
			return err
		case bytes.HasPrefix(data, []byte(`{"type":"error"`)):
			return fmt.Errorf("refused: %s", data)
		case !bytes.HasPrefix(data, []byte(ackHead)):
			continue
		case !bytes.Contains(data, []byte(`"queued":true`)) || bytes.Contains(data, []byte(`"duplicate"`)):
			return fmt.Errorf("not accepted: %s", data)
		}
		return nil
	}
}

const ackHead = `{"type":"ack"`

// acks reads the answers to sends until the connection ends, and reports the first that was refused.
func (c *lean) acks(refused chan<- error) {
	c.wide()
	for {
		data, err := c.next()
		if err != nil {
			return
		}
		if bytes.HasPrefix(data, []byte(ackHead)) && !bytes.Contains(data, []byte(`"queued":true`)) {
			select {
			case refused <- fmt.Errorf("not accepted: %s", data):
			default:
			}
		}
	}
}
