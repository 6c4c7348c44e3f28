package mcp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/wire"
)

const (
	lineLimitBytes = 16 << 20 // a longer line ends the session: no host sends one
	callLimit      = 64       // calls in flight; the next one is answered with codeBusy
	drainGrace     = 2 * time.Second
)

// The errors of JSON-RPC.
const (
	codeParse    = -32700
	codeRequest  = -32600
	codeMethod   = -32601
	codeParams   = -32602
	codeInternal = -32603
	codeBusy     = -32000
)

// rpcError is an error of JSON-RPC; a handler returns one to choose the code.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// Error gives the sentence with its code.
func (e *rpcError) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

// message is every shape that a line can have.
type message struct {
	Version string          `json:"jsonrpc"`
	ID      wire.RawMessage `json:"id,omitzero"`
	Method  string          `json:"method,omitzero"`
	Params  wire.RawMessage `json:"params,omitzero"`
	Result  wire.RawMessage `json:"result,omitzero"`
	Error   *rpcError       `json:"error,omitzero"`
}

type handler func(ctx context.Context, params wire.RawMessage) (any, error)

// server answers one host: JSON-RPC 2.0, one message a line (docs/decisions/0002-mcp-sdk.md). What no handler was
// registered for is "method not found".
type server struct {
	handlers map[string]handler
	log      *slog.Logger

	outMu sync.Mutex // held over a write: that is what keeps the order, and makes a burst wait instead of drop
	out   io.Writer

	callMu sync.Mutex
	calls  map[string]context.CancelFunc // by id as it was written
	wait   sync.WaitGroup
}

func newServer(out io.Writer, log *slog.Logger) *server {
	return &server{handlers: map[string]handler{}, log: log, out: out, calls: map[string]context.CancelFunc{}}
}

// handle registers f for calls and notifications of one method, before serve. A notification's answer is dropped.
func handle[P, R any](s *server, method string, f func(context.Context, P) (R, error)) {
	s.handlers[method] = func(ctx context.Context, raw wire.RawMessage) (any, error) {
		var params P
		if len(raw) > 0 && raw.Kind() != 'n' {
			if err := wire.Decode(raw, &params); err != nil {
				return nil, &rpcError{codeParams, "invalid params"}
			}
		}
		return f(ctx, params)
	}
}

// serve reads lines of in until it ends (nil) or ctx is done, and returns when every handler has returned; when in
// ends, calls in flight get drainGrace to be answered. A read that blocks stays behind when ctx ends.
func (s *server) serve(ctx context.Context, in io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.wait.Wait()
	defer cancel()
	lines, read := make(chan []byte), make(chan error, 1)
	go func() { read <- scan(ctx, in, lines) }() // ends with in, or with the process
	for {
		select {
		case line := <-lines:
			if err := s.accept(ctx, line); err != nil {
				return err
			}
		case err := <-read:
			late := time.AfterFunc(drainGrace, cancel)
			s.wait.Wait() // what was asked before the end is answered
			late.Stop()
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// scan hands on the lines of in.
func scan(ctx context.Context, in io.Reader, lines chan<- []byte) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 0, 64<<10), lineLimitBytes)
	for sc.Scan() {
		select {
		case lines <- bytes.Clone(sc.Bytes()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return sc.Err()
}

// accept answers one line, or starts what will. It fails only when the output does. What keeps no order with other
// lines runs beside them: everything but initialize and notifications.
func (s *server) accept(ctx context.Context, line []byte) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	var m message
	if err := wire.Decode(line, &m); err != nil {
		s.log.Warn("line of the host is no message", slog.Any(logkey.Err, err))
		return s.answer(nil, nil, &rpcError{codeParse, "parse error"})
	}
	call := len(m.ID) > 0
	h, known := s.handlers[m.Method]
	switch {
	case m.Method == "" && (m.Result != nil || m.Error != nil):
		return nil // an answer to a call that we did not make
	case m.Version != "2.0" || m.Method == "" || call && m.ID.Kind() != '"' && m.ID.Kind() != '0':
		return s.answer(nil, nil, &rpcError{codeRequest, "invalid request"})
	case m.Method == "notifications/cancelled":
		s.cancel(m.Params)
		return nil
	case !known && call:
		return s.answer(m.ID, nil, &rpcError{codeMethod, "method not found"})
	case !known:
		return nil
	case !call:
		_, _ = h(ctx, m.Params) // nobody waits for an answer to a notification
		return nil
	case m.Method == "initialize":
		res, err := h(ctx, m.Params)
		return s.answer(m.ID, res, err)
	}
	return s.start(ctx, h, m)
}

// start runs a call beside the others.
func (s *server) start(ctx context.Context, h handler, m message) error {
	id := string(m.ID)
	ctx, cancel := context.WithCancel(ctx)
	s.callMu.Lock()
	_, twice := s.calls[id]
	full := len(s.calls) >= callLimit
	if !twice && !full {
		s.calls[id] = cancel
	}
	s.callMu.Unlock()
	switch {
	case twice:
		cancel()
		return s.answer(m.ID, nil, &rpcError{codeRequest, "id is in use"})
	case full:
		cancel()
		return s.answer(m.ID, nil, &rpcError{codeBusy, "too many calls in flight"})
	}
	s.wait.Go(func() {
		defer cancel()
		res, err := h(ctx, m.Params)
		s.callMu.Lock()
		delete(s.calls, id)
		s.callMu.Unlock()
		if ctx.Err() != nil {
			return // a cancelled call is not answered
		}
		if err := s.answer(m.ID, res, err); err != nil {
			s.log.Warn("answer was not written", slog.Any(logkey.Err, err))
		}
	})
	return nil
}

// cancel breaks off a call that the host gave up.
func (s *server) cancel(params wire.RawMessage) {
	var p struct {
		RequestID wire.RawMessage `json:"requestId"`
	}
	if wire.Decode(params, &p) != nil {
		return // nobody waits for an answer to a notification
	}
	s.callMu.Lock()
	defer s.callMu.Unlock()
	if cancel := s.calls[string(p.RequestID)]; cancel != nil {
		cancel()
	}
}

// answer writes the answer to call id; a nil id answers what could not be read.
func (s *server) answer(id wire.RawMessage, res any, err error) error {
	m := message{ID: id}
	if id == nil {
		m.ID = wire.RawMessage("null")
	}
	if err == nil {
		m.Result, err = wire.Encode(res)
	}
	if err != nil && !errors.As(err, &m.Error) {
		m.Error = &rpcError{codeInternal, "internal error"}
	}
	if m.Error != nil {
		m.Result = nil
	}
	return s.write(m)
}

// notify sends a notification. Notifications keep their order; each waits while the host does not read.
func (s *server) notify(method string, params any) error {
	raw, err := wire.Encode(params)
	if err != nil {
		return err
	}
	return s.write(message{Method: method, Params: raw})
}

func (s *server) write(m message) error {
	m.Version = "2.0"
	line, err := wire.Encode(m)
	if err != nil {
		return err
	}
	s.outMu.Lock()
	defer s.outMu.Unlock()
	if _, err := s.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write to the host: %w", err)
	}
	return nil
}
