// Package wire is how a declared frame travels: declarations, their catalogue, the codec, the server's Mux and the
// client's Peer. It declares no frame itself; package protocol does.
//
// A frame is one flat JSON object: `type` and, for a request and its answer, `_reqId` stand beside the fields (wire 1.4).
package wire

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Correlation says how an answer finds its request.
type Correlation int

// The ways of the protocol.
const (
	ByReqID Correlation = iota // the answer repeats `_reqId`
	ByID                       // the answer repeats the request's `id` (send)
	ByType                     // the type of the answer is enough (hello)
)

// Spec declares one request of a client. The quirks of old clients are fields here, so that handlers never know them.
type Spec struct {
	Type    string // `type` of the request
	Reply   string // `type` of its answer; empty for a request that is never answered
	Summary string // one sentence for the documents
	Match   Correlation

	// PreAuth lets the frame in before the handshake.
	PreAuth bool
	// Quiet requests are answered only when they carry `_reqId`: old clients wait for nothing (wire TRAP D).
	Quiet bool
	// ErrorInID repeats `_reqId` as `id` in errors, where old clients look for it (wire TRAP A).
	ErrorInID bool
	// Ours marks frames that the TypeScript system does not have.
	Ours bool
	// Also are further frames of the same answer under names that old daemons wait for (wire TRAP E).
	Also []Copy
}

// Copy is a second frame made of an answer, declared with Also.
type Copy struct {
	Type   string
	encode func(reqID string, answer any) ([]byte, error)
}

// Also declares a copy of an answer: its `type`, and how its body is made of the answer.
func Also[Resp, Old any](typ string, as func(Resp) Old) Copy {
	return Copy{Type: typ, encode: func(reqID string, answer any) ([]byte, error) {
		resp, ok := answer.(Resp)
		if !ok {
			return nil, mesh.Errorf(mesh.Internal, "the copy %s is made of another answer than %T", typ, answer)
		}
		return encodeFrame(typ, reqID, as(resp))
	}}
}

// Encode writes the copy of an answer as a frame; reqID may be empty. The answer must be of the declared type.
func (c Copy) Encode(reqID string, answer any) ([]byte, error) { return c.encode(reqID, answer) }

// Entry is one line of the catalogue: a declaration without its Go types.
type Entry struct {
	Spec
	Event   bool         // sent by the broker unasked
	Request reflect.Type // struct
	Answer  reflect.Type // struct; nil without an answer
}

// catalogue holds every declaration in the order in which package protocol makes them.
var catalogue []*Entry

// Catalogue lists every declared frame, sorted by type.
func Catalogue() []*Entry {
	return slices.SortedFunc(slices.Values(catalogue), func(a, b *Entry) int { return strings.Compare(a.Type, b.Type) })
}

// Call is a declared request with its Go types.
type Call[Req, Resp any] struct{ *Entry }

// Event is a declared frame that the broker sends unasked.
type Event[T any] struct{ *Entry }

// None is the answer of a request that has none.
type None struct{}

// Define declares a request. It only appends to the catalogue.
func Define[Req, Resp any](s Spec) Call[Req, Resp] {
	e := &Entry{Spec: s, Request: reflect.TypeFor[Req]()}
	if s.Reply != "" {
		e.Answer = reflect.TypeFor[Resp]()
	}
	catalogue = append(catalogue, e)
	return Call[Req, Resp]{e}
}

// DefineEvent declares a frame that the broker sends unasked. It only appends to the catalogue.
func DefineEvent[T any](s Spec) Event[T] {
	e := &Entry{Spec: s, Event: true, Request: reflect.TypeFor[T]()}
	catalogue = append(catalogue, e)
	return Event[T]{e}
}

// Encode writes the event as a frame.
func (e Event[T]) Encode(body T) ([]byte, error) { return encodeFrame(e.Type, "", body) }

// Encode writes the request as a frame; reqID may be empty.
func (c Call[Req, Resp]) Encode(reqID string, req Req) ([]byte, error) {
	return encodeFrame(c.Type, reqID, req)
}

// Decode reads a request, as Dispatch does for its handler.
func (c Call[Req, Resp]) Decode(data []byte) (Req, error) {
	f, err := decodeFrame[Req](data)
	return f.Body, err
}

// EncodeReply writes an answer as a frame; reqID may be empty.
func (c Call[Req, Resp]) EncodeReply(reqID string, resp Resp) ([]byte, error) {
	return encodeFrame(c.Reply, reqID, resp)
}

// frame is a declared type with its envelope beside its fields.
type frame[T any] struct {
	Type  string `json:"type"`
	ReqID string `json:"_reqId,omitzero"`
	Body  T      `json:",embed"`
}

// head is what ReadHead reads of the frame.
func (f *frame[T]) head() Head {
	h := Head{Type: f.Type, ReqID: f.ReqID}
	if body, ok := any(&f.Body).(Identified); ok {
		h.ID = body.FrameID()
	}
	return h
}

// encodeFrame passes a pointer on, which saves a copy of the body.
func encodeFrame[T any](typ, reqID string, body T) ([]byte, error) {
	f := &frame[T]{Type: typ, ReqID: reqID, Body: body}
	if q, ok := any(&f.Body).(QuickWriter); ok {
		return encodeQuick(envelope{f.Type, f.ReqID, q})
	}
	return Encode(f)
}

// envelope writes itself around a body that does.
type envelope struct {
	typ, reqID string
	body       QuickWriter
}

// WriteJSON writes the members (QuickWriter).
func (e envelope) WriteJSON(o *Object) {
	o.Text("type", e.typ, false)
	o.Text("_reqId", e.reqID, true)
	e.body.WriteJSON(o)
}

func decodeFrame[T any](data []byte) (*frame[T], error) {
	f := new(frame[T])
	err := Decode(data, f)
	return f, err
}

// ErrorFrame is the answer to a request that was refused (wire 1.4).
type ErrorFrame struct {
	Code    string `json:"code" jsonschema:"machine-readable code, see errors"`
	Message string `json:"message" jsonschema:"one sentence for people"`
	ID      string `json:"id,omitzero" jsonschema:"the request's id, for clients that look there"`
	Hint    string `json:"hint,omitzero" jsonschema:"what to do about it"`

	Candidates []Candidate `json:"candidates,omitzero" jsonschema:"who could be meant"`
}

// Candidate is one peer that an ambiguous target could mean.
type Candidate struct {
	Name   string   `json:"name"`
	Pubkey mesh.Key `json:"pubkey"`
	Online bool     `json:"online,omitzero"`
}

// candidates lists who an error says could be meant.
func candidates(err error) (list []Candidate) {
	var e *mesh.Error
	if errors.As(err, &e) {
		for _, c := range e.Details.Candidates {
			list = append(list, Candidate{c.Name, c.Key, c.Online})
		}
	}
	return list
}

// ErrorType is the `type` of an ErrorFrame.
const ErrorType = "error"

// EncodeError writes an error frame.
func EncodeError(reqID string, e ErrorFrame) ([]byte, error) { return encodeFrame(ErrorType, reqID, e) }
