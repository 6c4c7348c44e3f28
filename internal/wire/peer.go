package wire

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Conn carries whole frames. Write may be called from many goroutines, Read from one.
type Conn interface {
	Read(ctx context.Context) ([]byte, error)
	Write(ctx context.Context, frame []byte) error
	Ping(ctx context.Context) error
	Close(code mesh.CloseCode, reason string) error
}

// maxPending bounds the requests of one connection that wait for an answer; one more is refused with rate_limit.
const maxPending = 1024

// maxLastWord is far above the frame of any real error, in bytes.
const maxLastWord = 4096

// Peer is the client's end of a connection: it matches answers to requests and hands events to a Mux.
type Peer struct {
	conn Conn

	mu      sync.Mutex
	waiting map[string]waiter // by "q:"+_reqId, "i:"+id or "t:"+type
	closed  error
	last    []byte // the last error that answers nothing
}

// waiter is a request without its answer.
type waiter struct {
	reply  string           // the type of its answer
	answer chan answerFrame // has room for the one answer
}

type answerFrame struct {
	head Head
	data []byte
	err  error
}

// NewPeer wraps a connection. Nothing is read until Run.
func NewPeer(conn Conn) *Peer {
	return &Peer{conn: conn, waiting: map[string]waiter{}}
}

// Run reads frames until the connection or ctx ends and returns why. Events go to m, in order, on this goroutine.
// Every request that still waits then fails with broker_unreachable, or with payload_too_large where Read says that the
// broker closed for that; so a Peer runs once.
func (p *Peer) Run(ctx context.Context, m *Mux[*Peer]) error {
	for {
		data, err := p.conn.Read(ctx)
		if err != nil {
			p.fail(err)
			return err
		}
		p.receive(ctx, m, data)
	}
}

// receive handles one frame: an event, an answer, or nothing that we know.
func (p *Peer) receive(ctx context.Context, m *Mux[*Peer], data []byte) {
	nobody := Caller{Send: func([]byte) {}}
	if m.serveQuick(ctx, p, nobody, data) {
		return
	}
	h, err := ReadHead(data)
	switch {
	case err != nil: // no frame
	case m.Entry(h.Type) != nil:
		m.Serve(ctx, p, nobody, h, data)
	default:
		p.answer(h, data)
	}
}

// Conn gives the connection, for pings and closing.
func (p *Peer) Conn() Conn { return p.conn }

// answer hands the frame to the request that waits for it, if one does. A frame of another type is no answer, whatever
// ids it carries.
func (p *Peer) answer(h Head, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range h.keys() {
		if w, ok := p.waiting[key]; ok && (h.Type == w.reply || h.Type == ErrorType) {
			delete(p.waiting, key)
			w.answer <- answerFrame{head: h, data: data}
			return
		}
	}
	if h.Type == ErrorType && h.ReqID == "" && h.ID == "" && len(data) <= maxLastWord {
		p.last = data
	}
}

// LastWord is the last error that the other side said without having been asked, as before it closes the connection; nil
// without one.
func (p *Peer) LastWord() error {
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	if last == nil {
		return nil
	}
	_, err := decodeAnswer[None](answerFrame{head: Head{Type: ErrorType}, data: last})
	return err
}

// keys are those under which a frame can be awaited. Errors of old brokers may carry the `_reqId` as `id` (wire TRAP A),
// and a refused hello has neither (wire 2).
func (h Head) keys() []string {
	keys := make([]string, 0, 3)
	if h.ReqID != "" {
		keys = append(keys, "q:"+h.ReqID)
	}
	if h.ID != "" {
		keys = append(keys, "i:"+h.ID)
	}
	switch {
	case h.Type != ErrorType:
		keys = append(keys, "t:"+h.Type)
	case h.ReqID == "" && h.ID == "":
		keys = append(keys, "t:"+helloReply)
	case h.ReqID == "":
		keys = append(keys, "q:"+h.ID)
	}
	return keys
}

// helloReply is the `type` of the one answer that is matched by it.
const helloReply = "hello_ack"

// fail ends every waiting request.
func (p *Peer) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = err
	if !mesh.IsCode(err, mesh.PayloadTooLarge) { // which blames one request, and not the way to the broker
		p.closed = mesh.Errorf(mesh.BrokerDown, "the connection to the broker ended: %w", err)
	}
	for k, w := range p.waiting {
		delete(p.waiting, k)
		w.answer <- answerFrame{err: p.closed}
	}
}

// wait registers a request under a key.
func (p *Peer) wait(key, reply string) (chan answerFrame, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed != nil {
		return nil, p.closed
	}
	if len(p.waiting) >= maxPending {
		return nil, mesh.Errorf(mesh.RateLimited, "%d requests wait for an answer", maxPending)
	}
	if _, ok := p.waiting[key]; ok || key == "i:" {
		return nil, mesh.Errorf(mesh.Internal, "a request with this id is under way, or it has none")
	}
	w := waiter{reply: reply, answer: make(chan answerFrame, 1)}
	p.waiting[key] = w
	return w.answer, nil
}

// forget ends the waiting for an answer. The key may be another request's by now.
func (p *Peer) forget(key string, answer chan answerFrame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[key].answer == answer {
		delete(p.waiting, key)
	}
}

// Identified is a request whose answer is matched by its own id.
type Identified interface{ FrameID() string }

// Do sends a request and waits for its answer until ctx ends. A refusal is a *mesh.Error with the code of the broker;
// a code that is not in our table becomes broker_refused with the text.
func (c Call[Req, Resp]) Do(ctx context.Context, p *Peer, req Req) (Resp, error) {
	wait, err := c.Start(ctx, p, req)
	if err != nil {
		var none Resp
		return none, err
	}
	return wait(ctx)
}

// Start writes a request and returns before its answer, which wait then gives, as Do does; call wait once. Requests
// that are started one after the other are written in that order. An error means that nothing was written whole.
func (c Call[Req, Resp]) Start(ctx context.Context, p *Peer, req Req) (wait func(context.Context) (Resp, error), err error) {
	reqID, key := c.keys(req)
	answer, err := p.wait(key, c.Reply)
	if err != nil {
		return nil, err
	}
	data, err := c.Encode(reqID, req)
	if err == nil {
		if err = p.conn.Write(ctx, data); err != nil {
			err = mesh.Errorf(mesh.BrokerDown, "write %s: %w", c.Type, err)
		}
	}
	if err != nil {
		p.forget(key, answer)
		return nil, err
	}
	return func(ctx context.Context) (Resp, error) {
		defer p.forget(key, answer)
		select {
		case a := <-answer:
			return decodeAnswer[Resp](a)
		case <-ctx.Done():
			var none Resp
			return none, ctx.Err()
		}
	}, nil
}

// Send writes a request that is never answered.
func (c Call[Req, Resp]) Send(ctx context.Context, p *Peer, req Req) error {
	data, err := c.Encode("", req)
	if err != nil {
		return err
	}
	if err := p.conn.Write(ctx, data); err != nil {
		return mesh.Errorf(mesh.BrokerDown, "write %s: %w", c.Type, err)
	}
	return nil
}

// keys gives the request its `_reqId`, where the protocol has one, and the key under which its answer is awaited.
func (c Call[Req, Resp]) keys(req Req) (reqID, key string) {
	switch c.Match {
	case ByType:
		return "", "t:" + c.Reply
	case ByID:
		if r, ok := any(req).(Identified); ok {
			return "", "i:" + r.FrameID()
		}
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	reqID = hex.EncodeToString(b[:])
	return reqID, "q:" + reqID
}

func decodeAnswer[Resp any](a answerFrame) (Resp, error) {
	var none Resp
	switch {
	case a.err != nil:
		return none, a.err
	case a.head.Type != ErrorType:
		f, err := decodeFrame[Resp](a.data)
		return f.Body, err
	}
	f, err := decodeFrame[ErrorFrame](a.data)
	if err != nil {
		return none, err
	}
	return none, refusal(f.Body)
}

// refusal turns an error frame into our error. Codes of other brokers may be unknown here.
func refusal(e ErrorFrame) error {
	code := mesh.Code(e.Code)
	if !code.Known() {
		return mesh.Errorf(mesh.BrokerRefused, "%s: %s", e.Code, e.Message)
	}
	var d mesh.Details
	for _, c := range e.Candidates {
		d.Candidates = append(d.Candidates, mesh.Candidate{Name: c.Name, Key: c.Pubkey, Online: c.Online})
	}
	return &mesh.Error{Code: code, Details: d, Err: errors.New(e.Message)}
}
