package localapi

import (
	"context"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// declared lists every type that crosses the socket, by what carries it.
func declared() map[string]reflect.Type {
	all := map[string]reflect.Type{
		"errors": reflect.TypeFor[ErrorBody](), EventNotice: reflect.TypeFor[Notice](),
		EventSystem: reflect.TypeFor[SystemEvent](), EventBrokerStatus: reflect.TypeFor[BrokerStatus](),
	}
	for _, e := range Catalogue() {
		all[e.Route], all[e.Route+" answer"] = e.Request, e.Answer
	}
	return all
}

// Bad tags show only when a type is used.
func TestZeroValuesTravel(t *testing.T) {
	t.Parallel()
	for carrier, typ := range declared() {
		data, err := wire.Encode(reflect.New(typ).Interface())
		if err != nil {
			t.Errorf("%s: encode %s: %v", carrier, typ, err)
			continue
		}
		back := reflect.New(typ)
		if err := wire.DecodeKnown(data, back.Interface()); err != nil {
			t.Errorf("%s: decode %s: %v", carrier, data, err)
			continue
		}
		again, err := wire.Encode(back.Interface())
		if err != nil || string(again) != string(data) {
			t.Errorf("%s: got %s, %v the second time, want %s", carrier, again, err, data)
		}
	}
}

// field is one name of a JSON object.
type field struct {
	name, options string
	reflect.StructField
}

// flat lists the names that stand beside each other in the object of a struct.
func flat(t reflect.Type) (all []field) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" && f.Anonymous {
			all = append(all, flat(f.Type)...)
			continue
		}
		all = append(all, field{name, options, f})
	}
	return all
}

func TestFieldsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	for carrier, typ := range declared() {
		seen := map[string]bool{}
		for _, f := range flat(typ) {
			text, described := f.Tag.Lookup("jsonschema")
			switch {
			case f.name == "":
				t.Errorf("%s: %s.%s has no name", carrier, typ, f.Name)
			case seen[f.name]:
				t.Errorf("%s: %q stands twice in %s", carrier, f.name, typ)
			case f.options != "" && f.options != "omitzero":
				t.Errorf("%s: %s.%s has options %q, want none or omitzero", carrier, typ, f.Name, f.options)
			case described && (strings.TrimSpace(text) == "" || strings.ContainsAny(text, "|\n")):
				t.Errorf("%s: %s.%s has the text %q, want words that fit a table", carrier, typ, f.Name, text)
			}
			seen[f.name] = true
		}
	}
}

func TestRoutesAreWhole(t *testing.T) {
	t.Parallel()
	route := regexp.MustCompile(`^(GET|POST|PATCH|PUT|DELETE) /v1(/[a-z]+|/\{[a-z_]+\})+$`)
	seen := map[string]bool{}
	for _, e := range Catalogue() {
		switch {
		case !route.MatchString(e.Route):
			t.Errorf("%s is not a route", e.Route)
		case seen[e.Route]:
			t.Errorf("%s is declared twice", e.Route)
		case e.Summary == "" || !strings.HasSuffix(e.Summary, ".") || strings.ContainsAny(e.Summary, "|\n"):
			t.Errorf("%s: got summary %q, want a sentence", e.Route, e.Summary)
		case e.Feature == "":
			t.Errorf("%s has no feature: no client would know that it is there", e.Route)
		case e.Scope < Anyone || e.Scope > HumanOnly:
			t.Errorf("%s has scope %d", e.Route, e.Scope)
		case e.BodyLimit != 0 && !e.hasBody():
			t.Errorf("%s has a body limit and no body", e.Route)
		case e.Stream && (e.Method() != http.MethodGet || e.Tool != ""):
			t.Errorf("%s streams, want GET, and no tool", e.Route)
		case e.Tool != "" && e.Scope == HumanOnly:
			t.Errorf("%s is a tool for models, and humans only may use it", e.Route)
		}
		seen[e.Route] = true
	}
}

// What travels in a path or a query is text, and nothing of a request may be lost in it.
func TestParametersAreScalars(t *testing.T) {
	t.Parallel()
	for _, e := range Catalogue() {
		fields := flat(e.Request)
		for _, name := range pathNames(e.Path()) {
			if !slices.ContainsFunc(fields, func(f field) bool { return f.name == name && f.Type.Kind() == reflect.String }) {
				t.Errorf("%s: %s has no text %q", e.Route, e.Request, name)
			}
		}
		if e.hasBody() {
			continue
		}
		if len(fields) != e.Request.NumField() {
			t.Errorf("%s: %s embeds another struct, which is no parameter", e.Route, e.Request)
		}
		for _, f := range fields {
			kind := f.Type.Kind()
			if kind == reflect.Pointer {
				kind = f.Type.Elem().Kind()
				if f.options != "omitzero" {
					t.Errorf("%s: %s would travel as null: want omitzero", e.Route, f.name)
				}
			}
			if !slices.Contains([]reflect.Kind{reflect.String, reflect.Bool, reflect.Int, reflect.Int64}, kind) {
				t.Errorf("%s: %s is a %s, which is no parameter", e.Route, f.name, f.Type)
			}
		}
	}
}

// Clients ask for these words before they use a route; those of the first releases stand in old clients (daemon 8.1).
func TestFeatures(t *testing.T) {
	t.Parallel()
	want := []string{"approvals", "events", "glance", "grants", "groups", "health", "hooks", "inbox", "inbox_delete", "info", "invites", "letters", "members", "meshes", "messages", "moderation", "outbox", "outbox_requeue", "pauses", "peers", "peers_watch", "ping", "profile", "receipts", "review", "send", "sessions", "skills", "trust", "version", "whoami"}
	if diff := cmp.Diff(want, Features()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestCatalogueIsSorted(t *testing.T) {
	t.Parallel()
	var routes []string
	for _, e := range Catalogue() {
		routes = append(routes, e.Path()+" "+e.Method())
	}
	if !slices.IsSorted(routes) || len(routes) < 20 {
		t.Errorf("got %q, want every route, by path, then method", routes)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for e, want := range map[*Entry]int64{Send.Entry: 256 << 10, SessionRegister.Entry: 64 << 10, InboxSeen.Entry: 64 << 10, MeshCreate.Entry: 16 << 10} {
		if got := e.Limit(); got != want {
			t.Errorf("%s: got a limit of %d bytes, want %d (daemon 7)", e.Route, got, want)
		}
	}
}

func TestStatusOfAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer interface{ HTTPStatus() int }
		want   int
	}{
		{SendAnswer{}, 202}, {SendAnswer{Duplicate: true}, 200}, {MeshAnswer{}, 201}, {MeshAnswer{AlreadyJoined: true}, 200}, {InviteAnswer{}, 201},
	} {
		if got := tt.answer.HTTPStatus(); got != tt.want {
			t.Errorf("%+v: got %d, want %d", tt.answer, got, tt.want)
		}
	}
}

// daemon answers every request with the same, and keeps what it was asked.
type daemon struct {
	answer Response
	err    error
	asked  Request
}

// Do answers (Doer).
func (d *daemon) Do(_ context.Context, r Request) (Response, error) {
	d.asked = r
	return d.answer, d.err
}

func TestDo(t *testing.T) {
	t.Parallel()
	down := mesh.Errorf(mesh.DaemonDown, "the daemon does not run")
	tests := []struct {
		name   string
		answer Response
		err    error
		code   mesh.Code
	}{
		{"answer", Response{200, []byte(`{"items":[],"marked_seen":3,"later":1}`)}, nil, ""},
		{"answer with another status", Response{202, []byte(`{"marked_seen":3}`)}, nil, ""},
		{"refusal", Response{404, []byte(`{"error":"mesh_not_attached","code":"mesh_not_attached"}`)}, nil, mesh.MeshNotAttached},
		{"refusal without a body", Response{404, nil}, nil, mesh.Internal},
		{"redirect", Response{301, []byte(`{"marked_seen":3}`)}, nil, mesh.Internal},
		{"nonsense", Response{200, []byte(`<html>`)}, nil, mesh.BadJSON},
		{"no daemon", Response{}, down, mesh.DaemonDown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := &daemon{answer: tt.answer, err: tt.err}
			got, err := Inbox.Do(t.Context(), d, InboxRequest{Mesh: "a b", Limit: 5})
			if mesh.CodeOf(err) != tt.code || tt.code == "" && got.MarkedSeen != 3 {
				t.Errorf("got %+v, %v, want code %q", got, err, tt.code)
			}
			if diff := cmp.Diff(Request{Method: "GET", Path: "/v1/inbox?limit=5&mesh=a+b"}, d.asked); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestDoWritesBodies(t *testing.T) {
	t.Parallel()
	d := &daemon{answer: Response{201, []byte(`{"code":"c"}`)}}
	got, err := InviteCreate.Do(t.Context(), d, InviteCreateRequest{Slug: "team", Uses: 2})
	if err != nil || got.Code != "c" {
		t.Errorf("got %+v, %v, want c", got, err)
	}
	want := Request{Method: "POST", Path: "/v1/meshes/team/invites", Body: []byte(`{"slug":"team","uses":2}`)}
	if diff := cmp.Diff(want, d.asked); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, slug := range []string{"", ".", "..", "\xff"} {
		d.asked = Request{}
		if _, err := InviteCreate.Do(t.Context(), d, InviteCreateRequest{Slug: slug}); err == nil || d.asked.Method != "" {
			t.Errorf("slug %q: got %v after %+v, want an error and no request", slug, err, d.asked)
		}
	}
}
