package clitest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Stream is an answer of server-sent events, as they travel.
type Stream string

// Daemon answers on a real socket from a table keyed by route, and records what it was asked.
type Daemon struct {
	Answers  map[string]any // an error is a refusal, a func() any is asked
	Drop     int            // so many requests are read and not answered
	Sessions []string       // the session tokens of the requests
	Made     bool           // a mesh was made

	mu    sync.Mutex
	asked []string
}

func (d *Daemon) handler() http.Handler {
	mux := http.NewServeMux()
	for _, e := range localapi.Catalogue() {
		mux.HandleFunc(e.Route, func(w http.ResponseWriter, r *http.Request) { d.serve(e.Route, w, r) })
	}
	return mux
}

func (d *Daemon) serve(route string, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	answer, dropped := d.record(route, r, body)
	if dropped {
		panic(http.ErrAbortHandler) // closes the connection
	}
	if events, ok := answer.(Stream); ok {
		_, _ = io.WriteString(w, string(events)) // as below
		return
	}
	status := http.StatusOK
	if refusal, ok := answer.(error); ok {
		status, answer = localapi.EncodeError(refusal)
	}
	data, err := wire.Encode(answer)
	if err != nil {
		panic(err)
	}
	w.WriteHeader(status)
	_, _ = w.Write(data) // the verb may have gone
}

func (d *Daemon) record(route string, r *http.Request, body []byte) (answer any, dropped bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, strings.TrimRight(r.Method+" "+r.URL.String()+" "+string(body), " "))
	d.Sessions = append(d.Sessions, r.Header.Get("X-Claudemesh-Session"))
	if d.Drop > 0 {
		d.Drop--
		return nil, true
	}
	d.Made = d.Made || route == localapi.MeshCreate.Route
	answer, ok := d.Answers[route]
	if ask, is := answer.(func() any); is {
		answer = ask()
	}
	if !ok {
		answer = mesh.Errorf(mesh.UnknownType, "no answer is laid out for %s", route)
	}
	return answer, false
}

// Recorded gives what was asked since the last call.
func (d *Daemon) Recorded() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	return asked
}

// inProcess is a daemon without a socket.
type inProcess struct{ daemon *Daemon }

func (p inProcess) Do(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, "http://localhost"+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return localapi.Response{}, err
	}
	w := &memoryWriter{}
	p.daemon.handler().ServeHTTP(w, req)
	return localapi.Response{Status: w.status, Body: w.Bytes()}, nil
}

func (p inProcess) Close() error { return nil }

type memoryWriter struct {
	bytes.Buffer
	status int
}

func (w *memoryWriter) Header() http.Header    { return http.Header{} }
func (w *memoryWriter) WriteHeader(status int) { w.status = status }
