package ipc

import (
	"bytes"
	"context"
	"net/http"
	"os"

	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Do answers a request of this very process, as if it had come over the socket (localapi.Doer, design A8).
func (s *Server) Do(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	return s.As(registry.Caller{PID: os.Getpid(), UID: os.Getuid()}, "").Do(ctx, r)
}

// As gives the way in of a process with the token of its session, or with none.
func (s *Server) As(who registry.Caller, token string) Door { return Door{s, who, token} }

// Door is the way in of one caller.
type Door struct {
	server *Server
	who    registry.Caller
	token  string
}

// Do answers a request (localapi.Doer).
func (d Door) Do(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	if err := d.Serve(ctx, w, r); err != nil {
		return localapi.Response{}, err
	}
	return localapi.Response{Status: w.status, Body: w.body.Bytes()}, ctx.Err()
}

// Serve writes the answer to a request, which a stream does until it or ctx ends.
func (d Door) Serve(ctx context.Context, w http.ResponseWriter, r localapi.Request) error {
	ctx = context.WithValue(ctx, peerKey{}, d.who)
	req, err := http.NewRequestWithContext(ctx, r.Method, "http://localhost"+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return mesh.Errorf(mesh.BadRequest, "make a request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if d.token != "" {
		req.Header.Set(sessionHeader, d.token)
	}
	d.server.ServeHTTP(w, req)
	return nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header gives the headers (http.ResponseWriter).
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader keeps the status (http.ResponseWriter).
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write keeps a part of the body (http.ResponseWriter).
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
