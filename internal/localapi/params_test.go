package localapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// receive decodes a request as the daemon does: over the mux of net/http.
func receive(t *testing.T, e *Entry, r Request) (any, error) {
	t.Helper()
	req := reflect.New(e.Request)
	err := fmt.Errorf("%s %s reaches no handler of %s", r.Method, r.Path, e.Route)
	m := http.NewServeMux()
	m.HandleFunc(e.Route, func(_ http.ResponseWriter, hr *http.Request) {
		err = e.decode(req.Interface(), r.Body, hr.URL.Query(), hr.PathValue)
	})
	m.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(r.Method, r.Path, http.NoBody))
	return req.Interface(), err
}

// awkward are texts that a path or a query could change.
var awkward = []string{"a b", "a/b", "a%2Fb", "ä&b=c", "+?#", "...", "{id}", `"quoted"`, "true", "5", "a\u202eb\n"}

// fill sets a value, and all in it, to something that is not zero.
func fill(v reflect.Value, text string, number int64) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		v.SetInt(number)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem())) // false, which must not be taken for absent
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[wire.RawMessage]() {
			v.SetBytes([]byte(`{"a":1}`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(1), text, number)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), text, number)
		}
	}
}

func TestRequestsArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, e := range Catalogue() {
		for i, text := range awkward {
			req := reflect.New(e.Request)
			fill(req.Elem(), text, int64(i)-3)
			r, err := e.encode(req.Interface())
			if err != nil {
				t.Errorf("%s with %q: %v", e.Route, text, err)
				continue
			}
			if (r.Body != nil) != e.hasBody() || r.Method != e.Method() {
				t.Errorf("%s: got %s with body %q", e.Route, r.Method, r.Body)
			}
			got, err := receive(t, e, r)
			if err != nil {
				t.Errorf("%s as %s: %v", e.Route, r.Path, err)
				continue
			}
			if diff := cmp.Diff(req.Interface(), got); diff != "" {
				t.Errorf("%s as %s: -sent +received\n%s", e.Route, r.Path, diff)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body, path string
		e                *Entry
		code             mesh.Code
	}{
		{"unknown parameter", "", "/v1/inbox?meshes=a", Inbox.Entry, mesh.BadRequest},
		{"other case", "", "/v1/inbox?Mesh=a", Inbox.Entry, mesh.BadRequest},
		{"repeated", "", "/v1/inbox?mesh=a&mesh=b", Inbox.Entry, mesh.BadRequest},
		{"no number", "", "/v1/inbox?limit=ten", Inbox.Entry, mesh.BadRequest},
		{"empty number", "", "/v1/inbox?limit=", Inbox.Entry, mesh.BadRequest},
		{"fraction", "", "/v1/inbox?limit=1.5", Inbox.Entry, mesh.BadRequest},
		{"too large", "", "/v1/inbox?limit=9223372036854775808", Inbox.Entry, mesh.BadRequest},
		{"no truth", "", "/v1/inbox?unread_only=yes", Inbox.Entry, mesh.BadRequest},
		{"no truth behind a pointer", "", "/v1/inbox?mark_seen=maybe", Inbox.Entry, mesh.BadRequest},
		{"not UTF-8", "", "/v1/inbox?topic=%ff", Inbox.Entry, mesh.BadRequest},
		{"a parameter where there is none", "", "/v1/version?x=1", Version.Entry, mesh.BadRequest},
		{"path and query differ", "", "/v1/messages/abc?id=def", MessageStatus.Entry, mesh.BadRequest},
		{"path in the query", "", "/v1/messages/abc?id=abc", MessageStatus.Entry, mesh.BadRequest},
		{"path is not UTF-8", "", "/v1/messages/%ff", MessageStatus.Entry, mesh.BadRequest},
		{"query beside a body", `{"to":"a","message":"b"}`, "/v1/send?mesh=a", Send.Entry, mesh.BadRequest},
		{"path and body differ", `{"slug":"b"}`, "/v1/meshes/a/invites", InviteCreate.Entry, mesh.BadRequest},
		{"no body", ``, "/v1/send", Send.Entry, mesh.BadJSON},
		{"wrong kind in the body", `{"to":5}`, "/v1/send", Send.Entry, mesh.BadJSON},
		{"wrong case in the body", `{"To":"a"}`, "/v1/send", Send.Entry, mesh.BadJSON},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := receive(t, tt.e, Request{Method: tt.e.Method(), Path: tt.path, Body: []byte(tt.body)})
			if mesh.CodeOf(err) != tt.code {
				t.Errorf("got %+v, %v, want %s", got, err, tt.code)
			}
		})
	}
}

func TestDecodeTakes(t *testing.T) {
	t.Parallel()
	no := false
	for _, tt := range []struct {
		path, body string
		e          *Entry
		want       any
	}{
		{"/v1/inbox", "", Inbox.Entry, &InboxRequest{}},
		{"/v1/inbox?mark_seen=false&limit=-5&since=", "", Inbox.Entry, &InboxRequest{MarkSeen: &no, Limit: -5}},
		{"/v1/meshes/a/invites", `{"uses":2,"later":true}`, InviteCreate.Entry, &InviteCreateRequest{Slug: "a", Uses: 2}},
		{"/v1/meshes/a/invites/b%2Fc", "", InviteRevoke.Entry, &InviteRevokeRequest{Slug: "a", ID: "b/c"}},
	} {
		got, err := receive(t, tt.e, Request{Method: tt.e.Method(), Path: tt.path, Body: []byte(tt.body)})
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.path, diff)
		}
	}
	// The typed form is the same.
	got, err := Inbox.Decode(nil, url.Values{"mesh": {"a"}}, func(string) string { return "" })
	if err != nil || got.Mesh != "a" {
		t.Errorf("got %+v, %v, want mesh a", got, err)
	}
}

// FuzzIPCBody gives a body to every route that takes one: what is taken travels again as the same.
func FuzzIPCBody(f *testing.F) {
	for _, in := range []string{
		`{"to":"bob","message":"hi","priority":"now","meta":{"a":[1,2,{"b":null}]},"mesh":"team","wait":"delivered","wait_ms":5}`,
		`{"ids":["a","b"]}`, `{"attempts":["t"],"path":"socket"}`, `{"name":"team","broker_url":"ws://127.0.0.1:7900/ws"}`, `{"link":"http://x/i/abc#d"}`,
		`{"session_id":"s","pid":1,"cwd":"/","groups":[{"name":"g"}],"host":{"name":"claude-code"}}`, `{"uses":1.0}`, `{}`, `null`, `{"slug":"x"}`, `{"TO":"x"}`,
		`{"meta":{"a":1,"a":2}}`,
	} {
		f.Add([]byte(in))
	}
	entries := slices.DeleteFunc(Catalogue(), func(e *Entry) bool { return !e.hasBody() })
	inPath := func(string) string { return "value" }
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, e := range entries {
			req := reflect.New(e.Request)
			if err := e.decode(req.Interface(), body, nil, inPath); err != nil {
				if code := mesh.CodeOf(err); code != mesh.BadJSON && code != mesh.BadRequest {
					t.Errorf("%s: got %v, want a refusal of the body", e.Route, err)
				}
				continue
			}
			r, err := e.encode(req.Interface())
			if err != nil {
				t.Fatalf("%s: encode %+v: %v", e.Route, req, err)
			}
			if strings.Contains(r.Path, "{") {
				t.Errorf("%s: got path %s", e.Route, r.Path)
			}
			again := reflect.New(e.Request)
			if err := e.decode(again.Interface(), r.Body, nil, inPath); err != nil {
				t.Fatalf("%s: %s was taken before: %v", e.Route, r.Body, err)
			}
			second, err := wire.Encode(again.Interface())
			if err != nil || string(second) != string(r.Body) {
				t.Errorf("%s: got %s, %v the second time, want %s", e.Route, second, err, r.Body)
			}
		}
	})
}
