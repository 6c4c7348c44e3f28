// Package localapi declares every route of the daemon's local socket, one file per noun: types and declarations.
// Package local calls them, package daemon/ipc answers them.
package localapi

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Scope says who may call a route.
type Scope int

// The scopes. A caller inside a registered session without that session's token counts as nobody (design C6).
const (
	Anyone    Scope = iota // tells nothing private
	User                   // the user, or one of its sessions, which sees only what is its own
	HumanOnly              // refused from inside a host session (design E4)
)

// Spec declares one route.
type Spec struct {
	Route     string // "GET /v1/peers"; `{name}` takes the field of that JSON name
	Feature   string // entry of ipc_features that tells clients the route is there
	Summary   string
	Scope     Scope
	BodyLimit int64  // bytes; 0 means 256 KiB
	Tool      string // name of the MCP tool that offers it to hosts without a shell
	Stream    bool   // answers with server-sent events
}

// Entry is one line of the catalogue: a declaration without its Go types.
type Entry struct {
	Spec
	Request reflect.Type
	Answer  reflect.Type
}

// defaultBody is the limit of most bodies (daemon 7).
const defaultBody = 256 << 10

// Limit is the largest body the route reads.
func (e *Entry) Limit() int64 {
	if e.BodyLimit != 0 {
		return e.BodyLimit
	}
	return defaultBody
}

// Method is the HTTP method of the route.
func (e *Entry) Method() string { method, _, _ := strings.Cut(e.Route, " "); return method }

// Path is the path pattern of the route.
func (e *Entry) Path() string { _, path, _ := strings.Cut(e.Route, " "); return path }

var catalogue []*Entry

// Catalogue lists every route, sorted by path, then method.
func Catalogue() []*Entry {
	return slices.SortedFunc(slices.Values(catalogue), func(a, b *Entry) int {
		if c := strings.Compare(a.Path(), b.Path()); c != 0 {
			return c
		}
		return strings.Compare(a.Method(), b.Method())
	})
}

// Features lists the values of ipc_features, sorted.
func Features() []string {
	var all []string
	for _, e := range catalogue {
		all = append(all, e.Feature)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Call is a declared route with its Go types.
type Call[Req, Resp any] struct{ *Entry }

// Define declares a route. It only appends to the catalogue.
func Define[Req, Resp any](s Spec) Call[Req, Resp] {
	e := &Entry{Spec: s, Request: reflect.TypeFor[Req](), Answer: reflect.TypeFor[Resp]()}
	catalogue = append(catalogue, e)
	return Call[Req, Resp]{e}
}

// Request is a call on its way to the daemon.
type Request struct {
	Method string
	Path   string // with its query
	Body   []byte // JSON, or nil
}

// Headed is a request, by its pointer, of which the headers of HTTP may hold a part.
type Headed interface{ TakeHeaders(http.Header) }

// Response is what came back.
type Response struct {
	Status int
	Body   []byte
}

// Doer carries requests to a daemon; package local and the in-process daemon are two.
type Doer interface {
	Do(ctx context.Context, r Request) (Response, error)
}

// None is the request or answer of a route that has none.
type None struct{}

// Do calls the route. A refusal is a *mesh.Error with code, details and sentence of the daemon.
func (c Call[Req, Resp]) Do(ctx context.Context, d Doer, req Req) (Resp, error) {
	var resp Resp
	r, err := c.encode(req)
	if err != nil {
		return resp, err
	}
	answer, err := d.Do(ctx, r)
	if err != nil {
		return resp, err
	}
	if answer.Status/100 != 2 {
		return resp, DecodeError(answer)
	}
	err = wire.Decode(answer.Body, &resp)
	return resp, err
}

// Request gives the request of a route with a stream, which is read as it comes.
func (c Call[Req, Resp]) Request(req Req) (Request, error) { return c.encode(req) }

// encode splits a request into path, query and body.
func (e *Entry) encode(req any) (Request, error) {
	data, err := wire.Encode(req)
	if err != nil {
		return Request{}, err
	}
	path, taken, err := fillPath(e.Path(), data)
	if err != nil {
		return Request{}, err
	}
	r := Request{Method: e.Method(), Path: path}
	if e.hasBody() {
		r.Body = data
		return r, nil
	}
	query, err := queryOf(data, taken)
	if err != nil {
		return Request{}, err
	}
	if query != "" {
		r.Path += "?" + query
	}
	return r, nil
}

// hasBody reports whether the fields travel as JSON rather than in the query.
func (e *Entry) hasBody() bool {
	return e.Method() == http.MethodPost || e.Method() == http.MethodPatch || e.Method() == http.MethodPut
}

// Decode reads a request on the daemon's side: JSON body, query and path values. Unknown query names, repeated
// ones, values of the wrong type and a body that contradicts the path are bad_request: nothing that was meant to narrow
// a request is ever ignored.
func (c Call[Req, Resp]) Decode(body []byte, query url.Values, pathValue func(string) string) (Req, error) {
	var req Req
	err := c.decode(&req, body, query, pathValue)
	return req, err
}

// decode fills req, a pointer to a zero request.
func (e *Entry) decode(req any, body []byte, query url.Values, pathValue func(string) string) error {
	known := pathNames(e.Path())
	if e.hasBody() {
		if err := wire.Decode(body, req); err != nil {
			return err
		}
		if len(query) > 0 {
			return mesh.Errorf(mesh.BadRequest, "%s has no query: its fields are in the body", e.Route)
		}
	} else if err := setQuery(req, query, known); err != nil {
		return err
	}
	return setPath(req, known, pathValue)
}

// ErrorBody is the body of every refusal (design A3).
type ErrorBody struct {
	Error                   string      `json:"error" jsonschema:"the code, or route_failed for an address that cannot be resolved"`
	Code                    mesh.Code   `json:"code"`
	Detail                  string      `json:"detail,omitzero" jsonschema:"one sentence for people"`
	Hint                    string      `json:"hint,omitzero"`
	Candidates              []Candidate `json:"candidates,omitzero"`
	Attached                []string    `json:"attached,omitzero" jsonschema:"meshes to choose from"`
	Limit                   int64       `json:"limit,omitzero" jsonschema:"bytes"`
	State                   mesh.State  `json:"state,omitzero"`
	Missing                 []string    `json:"missing,omitzero" jsonschema:"recipients who are not so far"`
	Conflict                string      `json:"conflict,omitzero"`
	DaemonFingerprintPrefix string      `json:"daemon_fingerprint_prefix,omitzero"`
	BrokerMessageID         *mesh.ID    `json:"broker_message_id,omitzero"`
}

// Candidate is one peer that an ambiguous address could mean.
type Candidate struct {
	Name   string   `json:"name"`
	Pubkey mesh.Key `json:"pubkey"`
	Mesh   string   `json:"mesh"`
	Online bool     `json:"online"`
}
