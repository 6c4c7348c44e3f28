package wire

import (
	"context"
	"slices"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Mux dispatches the frames of a connection to handlers. S is what a handler knows of the caller.
// Register everything before the first Serve; after that it is safe for use by many connections.
type Mux[S any] struct {
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

type handler[S any] struct {
	entry *Entry
	serve func(ctx context.Context, s S, c Caller, h Head, data []byte)
}

// Answer gives a request its answer, or its refusal. Call it exactly once, from any goroutine.
type Answer[Resp any] func(Resp, error)

// Handle registers fn for a request. What fn returns is the answer.
func Handle[S, Req, Resp any](m *Mux[S], c Call[Req, Resp], fn func(context.Context, S, Req) (Resp, error)) {
	HandleAsync(m, c, func(ctx context.Context, s S, req Req, answer Answer[Resp]) { answer(fn(ctx, s, req)) })
}

// HandleAsync registers fn for a request that is answered later, when its effects are on disk.
// fn is called in the order of the frames and must not block for the answer.
func HandleAsync[S, Req, Resp any](m *Mux[S], c Call[Req, Resp], fn func(context.Context, S, Req, Answer[Resp])) {
	m.add(c.Entry, func(ctx context.Context, s S, caller Caller, h Head, data []byte) {
		answer := func(resp Resp, err error) { reply(c, caller, h, resp, err) }
		f, err := decodeFrame[Req](data)
		if err != nil {
			var none Resp
			answer(none, err)
			return
		}
		fn(ctx, s, f.Body, answer)
	})
}

// On registers fn for an event. A frame that does not decode is dropped: there is nobody to tell.
func On[S, T any](m *Mux[S], e Event[T], fn func(context.Context, S, T)) {
	m.add(e.Entry, func(ctx context.Context, s S, _ Caller, _ Head, data []byte) {
		if f, err := decodeFrame[T](data); err == nil {
			fn(ctx, s, f.Body)
		}
	})
}

func (m *Mux[S]) add(e *Entry, serve func(context.Context, S, Caller, Head, []byte)) {
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

// reply turns what a handler returned into frames, by the rules of the declaration.
func reply[Req, Resp any](c Call[Req, Resp], caller Caller, h Head, resp Resp, err error) {
	if err != nil {
		id := ""
		if c.ErrorInID {
			id = h.ReqID
		} else if c.Match == ByID {
			id = h.ID
		}
		if h.ReqID != "" || c.Match != ByReqID {
			SendError(caller, h.ReqID, id, err)
		}
		return
	}
	if c.Reply == "" || c.Quiet && h.ReqID == "" {
		return
	}
	sendFrame(caller, c.Reply, h.ReqID, resp)
	for _, also := range c.Also {
		sendFrame(caller, also.Type, h.ReqID, also.As(resp))
	}
}

func sendFrame[T any](c Caller, typ, reqID string, body T) {
	data, err := encodeFrame(typ, reqID, body)
	if err != nil {
		SendError(c, reqID, "", err)
		return
	}
	c.Send(data)
}

// SendError queues an error frame made of err. Internal causes stay inside.
func SendError(c Caller, reqID, id string, err error) {
	code := mesh.CodeOf(err)
	frame, encErr := EncodeError(reqID, ErrorFrame{Code: string(code), Message: mesh.PublicText(err), ID: id, Hint: code.Hint()})
	if encErr == nil {
		c.Send(frame)
	}
}
