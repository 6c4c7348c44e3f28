package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// conn is one WebSocket from its upgrade to its end. One goroutine reads and serves its frames in order, another
// writes.
type conn struct {
	id     mesh.ConnID
	server *server
	ws     *websocket.Conn
	link   *link
	out    *outbound
	caller wire.Caller
	from   arrival
	visit  visit

	guest      atomic.Pointer[guest] // nil before the hello; the reader sets it
	strange    int                   // frames before the hello
	deliberate atomic.Bool
	silent     atomic.Int32 // ticks since the peer was heard
}

// maxStrangeFrames may come before the hello; each is answered.
const maxStrangeFrames = 8

// accept upgrades a request to a connection. The answer to a request that is none was written.
func (s *server) accept(w http.ResponseWriter, r *http.Request, hosts []string) (*conn, error) {
	challenge := seal.NewChallenge().String()
	w.Header().Set(protocol.ChallengeHeader, challenge)
	c := &conn{server: s, from: arrival{hosts, challenge}}
	up := &upgrade{ResponseWriter: w, limitBytes: s.set.HelloBytes}
	heard := func() { c.silent.Store(0) }
	ws, err := websocket.Accept(up, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // Origin was checked against our own names, which is stricter
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     func(context.Context, []byte) bool { heard(); return true },
		OnPongReceived:     func(context.Context, []byte) { heard() },
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(-1) // the link refuses sooner
	up.link.acks = &quickAcks{ready: func() bool { return c.guest.Load() != nil }, serve: c.acknowledged}
	c.ws, c.link, c.out = ws, up.link, newOutbound(up.link, s.count)
	c.caller.Send = c.answer
	return c, nil
}

// answer queues an answer; who does not read its answers is a slow consumer.
func (c *conn) answer(frame []byte) {
	if !c.out.Send(frame) {
		c.out.Close(mesh.CloseSlowConsumer, string(mesh.SlowConsumer))
	}
}

// run serves the connection until it is over, and leaves nothing behind.
func (c *conn) run() {
	var writer sync.WaitGroup
	writer.Go(c.write)
	hello := time.AfterFunc(c.server.set.HelloTimeout, func() {
		c.refuse(mesh.Errorf(mesh.HelloTimeout, "no hello within %v", c.server.set.HelloTimeout))
	})
	c.end(c.read(hello))
	hello.Stop()
	writer.Wait()
	_ = c.ws.CloseNow() // closed before, or of no interest
	c.out.settled()
	if g := c.guest.Load(); g != nil {
		if c.out.TooSlow() {
			c.server.log.Warn("slow consumer was cut; what waits for it is kept", describe(c, g)...)
		}
		c.server.depart(c, g)
	}
}

// write owns the writing side, and the closing of it.
func (c *conn) write() {
	end := c.out.run()
	if end.code == cut {
		_ = c.ws.CloseNow() // nobody is left to tell
		return
	}
	_ = c.ws.Close(websocket.StatusCode(end.code), end.reason) // the peer may be gone already
}

// lingerBytes of a message that is too long are read and thrown away while its sender is told: a connection that is
// closed with unread bytes is reset, and the sender would never see why.
const lingerBytes = 1 << 20

// end closes the connection for the reason for which reading it ended.
func (c *conn) end(err error) {
	var closed websocket.CloseError
	switch {
	case errors.Is(err, errTooBig):
		c.blame()
		c.tooBig()
		c.link.scan.limitBytes.Store(lingerBytes)
		c.out.Close(mesh.CloseTooBig, string(mesh.PayloadTooLarge))
	case errors.Is(err, errUnmasked):
		c.blame()
		c.out.Close(mesh.CloseCode(websocket.StatusProtocolError), "")
	case errors.As(err, &closed) && c.farewell(closed):
		c.deliberate.Store(true)
		c.server.queue.Farewell(c.id, c.hangUp)
		return
	}
	c.hangUp()
}

// hangUp closes a connection that nobody reads any more.
func (c *conn) hangUp() {
	if !c.out.Closing() {
		c.out.Close(cut, "")
		_ = c.link.Close() // a write that waits for a peer that is gone ends with it
	}
}

// farewell reports whether a close frame ends a presence and not only a connection (design D4). Clients that are not
// ours have no other word for it; one that lost its network sends none.
func (c *conn) farewell(frame websocket.CloseError) bool {
	if g := c.guest.Load(); g != nil && !g.session.Go {
		return frame.Code == websocket.StatusNormalClosure || frame.Code == websocket.StatusNoStatusRcvd
	}
	return frame.Code == websocket.StatusNormalClosure && frame.Reason == mesh.ReasonClosed
}

// tooBig counts a message over the limit that holds for the connection.
func (c *conn) tooBig() {
	if c.guest.Load() == nil {
		c.server.count.reached(config.BoundHelloBytes)
		return
	}
	c.server.count.reached(config.BoundFrameBytes)
}

// frames are what messages are read into. A reader that waits holds none.
var frames = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// read serves one message after the other until the connection is over.
func (c *conn) read(hello *time.Timer) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			c.server.log.Error("panic in a handler", slog.Uint64(logkey.Conn, uint64(c.id)), slog.String(logkey.Err, fmt.Sprintf("%v\n%s", v, debug.Stack())))
			c.out.Close(mesh.CloseStoreFailed, string(mesh.Internal))
		}
	}()
	for {
		_, r, err := c.ws.Reader(context.Background()) // ends when the connection is closed
		if err != nil {
			return err
		}
		buf := frames.Get().(*bytes.Buffer)
		buf.Reset()
		if _, err = buf.ReadFrom(r); err == nil {
			c.silent.Store(0)
			c.serve(buf.Bytes(), hello)
		}
		frames.Put(buf)
		if err != nil {
			return err
		}
	}
}

// serve handles one message. Text and binary are the same here (wire 1).
func (c *conn) serve(data []byte, hello *time.Timer) {
	switch {
	case c.out.Closing(): // it will hear that it is late
	case !utf8.Valid(data):
		c.blame()
		c.out.Close(mesh.CloseInvalidData, "not UTF-8")
	case c.guest.Load() != nil:
		c.dispatch(data)
	default:
		c.greet(data, hello)
	}
}

// dispatch hands a frame to its handler. What is no frame is dropped: old clients wait for nothing, and there is no
// `_reqId` to answer under (wire 1).
func (c *conn) dispatch(data []byte) {
	if err := c.server.mux.Dispatch(c.server.work, c.guest.Load().session, c.caller, data); err != nil {
		c.server.count.rejected.add("parse_or_handler")
	}
}

// acknowledged handles client_acks that came together.
func (c *conn) acknowledged(acks []protocol.ClientAckRequest) {
	c.silent.Store(0)
	if c.out.Closing() {
		return
	}
	if err := c.server.queue.ClientAcks(c.server.work, c.guest.Load().session, acks); err != nil {
		c.server.log.Debug("acknowledgements were dropped", slog.Uint64(logkey.Conn, uint64(c.id)), slog.Any(logkey.Err, err))
	}
}

// greet handles a message before the hello, and the hello. Once that is here its time has been kept, however long a
// busy broker takes to check it.
func (c *conn) greet(data []byte, hello *time.Timer) {
	h, err := wire.ReadHead(data)
	if err != nil {
		c.refuse(mesh.Errorf(mesh.Malformed, "not a frame: %w", err))
		return
	}
	if h.Type != protocol.Hello.Type && h.Type != protocol.SessionHello.Type {
		c.strange++
		wire.SendError(c.caller, h.ReqID, h.ID, mesh.Errorf(mesh.NoHello, "this connection has not said hello"))
		if c.strange >= maxStrangeFrames {
			c.blame()
			c.out.Close(mesh.ClosePolicy, string(mesh.NoHello))
		}
		return
	}
	hello.Stop()
	g, err := c.server.doors.open(c.server.work, c.from, h.Type, data)
	if err == nil {
		err = c.enter(h, g)
	}
	if err != nil {
		c.refuse(err)
	}
}

// enter makes the guest's connection one that messages go to.
func (c *conn) enter(h wire.Head, g *guest) error {
	g.conn.ID, g.session.Conn, g.session.Hosts = c.id, c.id, c.from.hosts
	c.link.scan.limitBytes.Store(c.server.set.FrameBytes)
	c.caller.Go = g.session.Go
	if err := c.attach(h, g); err != nil {
		c.server.presence.Forget(c.id)
		c.server.doors.leave(g)
		return err
	}
	c.guest.Store(g)
	c.server.arrive(c, g)
	return nil
}

// attach looks up what the guest was before, and registers the connection.
func (c *conn) attach(h wire.Head, g *guest) error {
	if err := c.server.presence.Expect(c.server.work, &g.conn, g.proved, g.told, &g.answer); err != nil {
		return err
	}
	welcome, err := protocol.Hello.EncodeReply(h.ReqID, g.answer)
	if err != nil {
		return err
	}
	return c.server.queue.Attach(c.server.work, g.conn, g.box, c.out, welcome)
}

// refuse tells the peer why it is not let in, then closes. Only the first reason counts.
func (c *conn) refuse(err error) {
	if c.out.Closing() {
		return
	}
	code := mesh.CodeOf(err)
	c.server.count.refused.add(string(code))
	if theirFault(code) {
		c.blame()
	}
	if code == mesh.HelloTimeout {
		c.server.count.reached(config.BoundHelloTimeout)
	}
	c.server.log.Debug("connection refused", slog.Uint64(logkey.Conn, uint64(c.id)), slog.String(logkey.Code, string(code)), slog.Any(logkey.Err, err))
	wire.SendError(wire.Caller{Send: c.answer}, "", "", err)
	c.out.Close(closeFor(code))
}

// blame takes into account that a stranger's connection ends because of what it sent. It comes before the Close.
func (c *conn) blame() {
	if c.guest.Load() == nil && !c.out.Closing() {
		c.visit.failed()
	}
}

// theirFault reports whether a hello was refused for what it was, and not for the state of the broker.
func theirFault(code mesh.Code) bool {
	switch code {
	case mesh.Capacity, mesh.RateLimited, mesh.ShuttingDown, mesh.Internal, mesh.StoreFailed, mesh.StorageFull, mesh.StoreLocked:
		return false
	}
	return true
}

// closeFor is the close frame after a refused hello (wire 1.3).
func closeFor(code mesh.Code) (mesh.CloseCode, string) {
	switch code {
	case mesh.Revoked:
		return mesh.CloseBanned, "banned"
	case mesh.ShuttingDown:
		return mesh.CloseGoingAway, reasonShutdown
	case mesh.Internal, mesh.StoreFailed, mesh.StorageFull, mesh.StoreLocked:
		return mesh.CloseStoreFailed, string(code)
	}
	return mesh.ClosePolicy, string(code)
}
