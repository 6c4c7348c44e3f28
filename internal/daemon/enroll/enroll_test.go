package enroll

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// request is what a broker was sent.
type request struct {
	path, auth, kind string
	body             []byte
}

// broker answers as a test says and keeps what it was sent.
type broker struct {
	*httptest.Server
	mu   sync.Mutex
	sent []request
}

func newBroker(t *testing.T, answer func(w http.ResponseWriter, r request)) *broker {
	t.Helper()
	b := &broker{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got := request{r.Method + " " + r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body}
		b.mu.Lock()
		b.sent = append(b.sent, got)
		b.mu.Unlock()
		answer(w, got)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *broker) requests() []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sent
}

func (b *broker) socket() string { return strings.Replace(b.URL, "http", "ws", 1) + "/ws" }

func (b *broker) host(t *testing.T) string {
	t.Helper()
	host, err := uplink.Host(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	return host
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	data, err := wire.Encode(v)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(data) // the client may be gone
}

func founding(b *broker) Founding {
	return Founding{
		BrokerURL: b.socket(), Token: "secret", Name: "My Mesh", Slug: "mine", DisplayName: "ann@host",
		Owner: seal.NewSecretKey(), Member: seal.NewSecretKey(),
	}
}

func TestCreateMesh(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(w http.ResponseWriter, _ request) {
		answerJSON(w, http.StatusCreated, protocol.MeshCreateAnswer{MeshID: "m1", Slug: "mine", MemberID: "k1", Role: "admin"})
	})
	f := founding(b)
	got, err := (&Client{Now: clock}).CreateMesh(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if got.Role != "admin" || got.Mesh.ID != "m1" || got.Mesh.MemberID != "k1" || got.Mesh.Slug != "mine" || got.Mesh.Name != "My Mesh" ||
		got.Mesh.BrokerURL != f.BrokerURL || got.Mesh.Pubkey() != mesh.Key(f.Member.Public().String()) || !got.Mesh.JoinedAt.Equal(noon) {
		t.Errorf("got %+v", got)
	}
	sent := b.requests()[0]
	if sent.path != "POST /v1/meshes" || sent.auth != "Bearer secret" || sent.kind != "application/json" {
		t.Errorf("got request %s, %q, %q", sent.path, sent.auth, sent.kind)
	}
	var req protocol.MeshCreateRequest
	if err := wire.DecodeKnown(sent.body, &req); err != nil {
		t.Fatal(err)
	}
	owner, err := seal.ParseSignature(req.OwnerSignature)
	if err != nil {
		t.Fatal(err)
	}
	member, err := seal.ParseSignature(req.MemberSignature)
	if err != nil {
		t.Fatal(err)
	}
	text := seal.MeshCreate{
		Host: b.host(t), Slug: "mine", Owner: f.Owner.Public(), Member: f.Member.Public(), CreatedAt: time.UnixMilli(req.CreatedAtMs),
	}
	if err := text.Verify(owner, member, noon); err != nil {
		t.Errorf("got %v, want both signatures good for this broker", err)
	}
	if req.RootKey != got.Mesh.RootKey.Reveal() || len(req.RootKey) != 43 {
		t.Error("got another root key than the broker, want the same")
	}
}

func TestCreateMeshRefusals(t *testing.T) {
	t.Parallel()
	good := protocol.MeshCreateAnswer{MeshID: "m1", Slug: "mine", MemberID: "k1", Role: "admin"}
	page := func(status int, text string) func(http.ResponseWriter, request) {
		return func(w http.ResponseWriter, _ request) { w.WriteHeader(status); _, _ = io.WriteString(w, text) }
	}
	object := func(status int, v any) func(http.ResponseWriter, request) {
		return func(w http.ResponseWriter, _ request) { answerJSON(w, status, v) }
	}
	with := func(change func(*protocol.MeshCreateAnswer)) func(http.ResponseWriter, request) {
		a := good
		change(&a)
		return object(http.StatusCreated, a)
	}
	tests := map[string]struct {
		answer func(http.ResponseWriter, request)
		want   mesh.Code
	}{
		"slug taken":     {object(409, protocol.HTTPError{Error: "taken\x1b[31m", Code: mesh.SlugTaken}), mesh.SlugTaken},
		"bad token":      {object(401, protocol.HTTPError{Error: "no", Code: mesh.BadToken}), mesh.BadToken},
		"unknown code":   {object(418, protocol.HTTPError{Error: "tea", Code: "teapot"}), mesh.BrokerRefused},
		"internal":       {object(500, protocol.HTTPError{Error: "oops", Code: mesh.Internal}), mesh.BrokerDown},
		"not ours":       {page(404, "<html>"), mesh.BrokerRefused},
		"proxy":          {page(502, "<html>"), mesh.BrokerDown},
		"no JSON":        {page(201, "hello"), mesh.BrokerRefused},
		"two objects":    {page(201, `{"mesh_id":"m1"}{}`), mesh.BrokerRefused},
		"huge":           {page(201, `{"slug":"`+strings.Repeat("x", answerBytes)+`"}`), mesh.BrokerRefused},
		"huge refusal":   {page(409, strings.Repeat("x", answerBytes+1)), mesh.BrokerRefused},
		"other slug":     {with(func(a *protocol.MeshCreateAnswer) { a.Slug = "yours" }), mesh.BrokerRefused},
		"evil slug":      {with(func(a *protocol.MeshCreateAnswer) { a.Slug = "../mine" }), mesh.BrokerRefused},
		"evil mesh id":   {with(func(a *protocol.MeshCreateAnswer) { a.MeshID = "../../x" }), mesh.BrokerRefused},
		"evil member id": {with(func(a *protocol.MeshCreateAnswer) { a.MemberID = "a|b" }), mesh.BrokerRefused},
		"no mesh id":     {with(func(a *protocol.MeshCreateAnswer) { a.MeshID = "" }), mesh.BrokerRefused},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, tc.answer)
			_, err := (&Client{Now: clock}).CreateMesh(t.Context(), founding(b))
			if mesh.CodeOf(err) != tc.want {
				t.Errorf("got %v (%s), want %s", err, mesh.CodeOf(err), tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "\x1b") {
				t.Errorf("got %q, want the broker's text cleaned", err)
			}
			if n := len(b.requests()); n != 1 {
				t.Errorf("got %d requests, want 1: creating twice is not the same as once", n)
			}
		})
	}
}

func TestRequestsGoNowhereElse(t *testing.T) {
	t.Parallel()
	other := newBroker(t, func(http.ResponseWriter, request) {})
	b := newBroker(t, func(w http.ResponseWriter, _ request) {
		w.Header().Set("Location", other.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	client := &Client{Now: clock}
	if _, err := client.CreateMesh(t.Context(), founding(b)); !mesh.IsCode(err, mesh.BrokerRefused) || len(other.requests()) != 0 {
		t.Errorf("got %v and %d requests elsewhere, want the redirect refused", err, len(other.requests()))
	}
	f := founding(b)
	f.BrokerURL = "ws://10.0.0.1:7900/ws"
	if _, err := client.CreateMesh(t.Context(), f); !mesh.IsCode(err, mesh.InsecureURL) {
		t.Errorf("got %v, want a token never sent in clear text", err)
	}
	b.Close()
	if _, err := client.CreateMesh(t.Context(), founding(b)); !mesh.IsCode(err, mesh.BrokerDown) {
		t.Errorf("got %v, want broker_unreachable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.CreateMesh(ctx, founding(b)); !mesh.IsCode(err, mesh.Cancelled) {
		t.Errorf("got %v, want cancelled", err)
	}
}

// decode reads a body that a test needs in pieces.
func decode[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
