package wire

import (
	"context"
	"errors"
	"slices"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Mux dispatches the frames of a connection to handlers. S is what a handler knows of the caller.
// Register everything before the first Serve; after that it is safe for use by many connections.
type Mux[S any] struct {
	// Admit refuses a request before a handler of Handle sees it; nil refuses none. It is set before the first Serve.
	Admit func(S, *Entry) error

	handlers map[string]handler[S]
}

// NewMux returns an empty mux.
func NewMux[S any]() *Mux[S] { return &Mux[S]{handlers: map[string]handler[S]{}} }

// Caller is the connection a frame came from, as far as answering needs it.
type Caller struct {
	// Go is true for a connection that announced claudemesh.go/1: it gets exactly one answer to each
	// `_reqId`, also to unknown types (design B1).
	Go bool
	// Send queues a frame for the connection. It must not block.
	Send func(frame []byte)
}

// handler serves the frames of one type. Without a head (that of no type) it is asked whether the frame decodes, and
// reports false when it does not; nothing has happened then.
type handler[S any] struct {
	entry *Entry
	serve func(ctx context.Context, s S, c Caller, h Head, data []byte) bool
}

// Answer gives a request its answer, or its refusal. Call it exactly once, from any goroutine.
type Answer[Resp any] func(Resp, error)

// Handle registers fn for a request. What fn returns is the answer.
func Handle[S, Req, Resp any](m *Mux[S], c Call[Req, Resp], fn func(context.Context, S, Req) (Resp, error)) {
	HandleAsync(m, c, func(ctx context.Context, s S, req Req, answer Answer[Resp]) {
		if m.Admit != nil {
			if err := m.Admit(s, c.Entry); err != nil {
				var none Resp
				answer(none, err)
				return
			}
		}
		answer(fn(ctx, s, req))
	})
}

// HandleAsync registers fn for a request that is answered later, when its effects are on disk.
// fn is called in the order of the frames and must not block for the answer.
func HandleAsync[S, Req, Resp any](m *Mux[S], c Call[Req, Resp], fn func(context.Context, S, Req, Answer[Resp])) {
	m.add(c.Entry, func(ctx context.Context, s S, caller Caller, h Head, data []byte) bool {
		f, err := decodeFrame[Req](data)
		switch {
		case err == nil:
			h = f.head()
			fn(ctx, s, f.Body, func(resp Resp, err error) { reply(c, caller, h, resp, err) })
		case h.Type == "":
			return false
		default:
			var none Resp
			reply(c, caller, h, none, err)
		}
		return true
	})
}

// On registers fn for an event. A frame that does not decode is dropped: there is nobody to tell.
func On[S, T any](m *Mux[S], e Event[T], fn func(context.Context, S, T)) {
	m.add(e.Entry, func(ctx context.Context, s S, _ Caller, h Head, data []byte) bool {
		f, err := decodeFrame[T](data)
		if err == nil {
			fn(ctx, s, f.Body)
		}
		return err == nil || h.Type != ""
	})
}

func (m *Mux[S]) add(e *Entry, serve func(context.Context, S, Caller, Head, []byte) bool) {
	if _, ok := m.handlers[e.Type]; ok {
		panic("wire: two handlers for " + e.Type)
	}
	m.handlers[e.Type] = handler[S]{entry: e, serve: serve}
}

// Types lists what has a handler, sorted.
func (m *Mux[S]) Types() []string {
	types := make([]string, 0, len(m.handlers))
	for t := range m.handlers {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// Entry gives the declaration behind a type that has a handler, else nil.
func (m *Mux[S]) Entry(typ string) *Entry { return m.handlers[typ].entry }

// Dispatch serves one frame. Invalid_json means that it is none; who announced ours and waits for an answer to a frame
// without a type was told, for others there is nobody to tell (wire 1).
func (m *Mux[S]) Dispatch(ctx context.Context, s S, c Caller, data []byte) error {
	if m.serveQuick(ctx, s, c, data) {
		return nil
	}
	return m.serveRead(ctx, s, c, data)
}

// serveRead is the long way: it reads what a frame is before it decodes it.
func (m *Mux[S]) serveRead(ctx context.Context, s S, c Caller, data []byte) error {
	h, err := ReadHead(data)
	switch {
	case err == nil:
		m.Serve(ctx, s, c, h, data)
	case errors.Is(err, errNoType) && c.Go && h.ReqID != "":
		SendError(c, h.ReqID, "", err)
	}
	return err
}

// serveQuick serves a frame that says at its beginning what it is and decodes as that, which most do. It reads the
// frame once instead of twice; what comes of it is the same.
func (m *Mux[S]) serveQuick(ctx context.Context, s S, c Caller, data []byte) bool {
	hd, ok := m.handlers[string(quickType(data))]
	return ok && hd.serve(ctx, s, c, Head{}, data)
}

// Serve dispatches one frame whose head was read. An unknown type gets silence, as old clients expect,
// or an error where the connection announced ours and waits for an answer.
func (m *Mux[S]) Serve(ctx context.Context, s S, c Caller, h Head, data []byte) {
	if hd, ok := m.handlers[h.Type]; ok {
		hd.serve(ctx, s, c, h, data)
		return
	}
	if c.Go && h.ReqID != "" {
		SendError(c, h.ReqID, "", mesh.Errorf(mesh.UnknownType, "this broker does not know %q", h.Type))
	}
}

// Echoer is the answer to a quiet request that repeats its `_reqId` in a field of its own, for old clients.
type Echoer interface{ Echo(reqID string) }

func echo[Resp any](resp Resp, reqID string) Resp {
	if e, ok := any(&resp).(Echoer); ok {
		e.Echo(reqID)
	}
	return resp
}

// reply turns what a handler returned into frames, by the rules of the declaration.
func reply[Req, Resp any](c Call[Req, Resp], caller Caller, h Head, resp Resp, err error) {
	if err == nil && (c.Reply == "" || c.Quiet && h.ReqID == "") {
		return
	}
	var frame []byte
	if err == nil {
		if c.Quiet {
			resp = echo(resp, h.ReqID)
		}
		frame, err = c.EncodeReply(h.ReqID, resp)
	}
	if err != nil {
		c.sendRefusal(caller, h, err)
		return
	}
	caller.Send(frame)
	for _, also := range c.Also {
		if frame, err := also.Encode(h.ReqID, resp); err == nil { // a test encodes each; the answer itself is out
			caller.Send(frame)
		}
	}
}

// sendRefusal answers a request with an error. Who waits for no answer gets none: old clients would take it for the
// answer to another request (wire TRAP C).
func (e *Entry) sendRefusal(c Caller, h Head, err error) {
	id := ""
	switch {
	case e.Match == ByID:
		id = h.ID
	case e.ErrorInID:
		id = h.ReqID
	}
	if h.ReqID != "" || id != "" || e.Match == ByType {
		SendError(c, h.ReqID, id, err)
	}
}

// SendError queues an error frame made of err. Internal causes stay inside.
func SendError(c Caller, reqID, id string, err error) {
	code := mesh.CodeOf(err)
	frame, encErr := EncodeError(reqID, ErrorFrame{
		Code: string(code), Message: mesh.PublicText(err), ID: id, Hint: code.Hint(), Candidates: candidates(err),
	})
	if encErr == nil { // its text is clean, and ids were decoded
		c.Send(frame)
	}
}
