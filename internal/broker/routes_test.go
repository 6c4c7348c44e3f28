package broker

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/broker/invite"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// A page that has its name point here, another origin, a form, no token, or the token in the query.
func TestThreat33BrowsersAndStrangersAreRefused(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	for _, c := range []struct {
		name, method, path string
		edit               func(*http.Request)
		status             int
		code               mesh.Code
	}{
		{"a foreign host", "GET", "/health", func(r *http.Request) { r.Host = "evil.example" }, 403, mesh.Forbidden},
		{"a foreign host with our port", "POST", "/v1/meshes", func(r *http.Request) { r.Host = "evil.example:7900" }, 403, mesh.Forbidden},
		{"a foreign host at the socket", "GET", "/ws", func(r *http.Request) { r.Host = "evil.example" }, 403, mesh.Forbidden},
		{"a foreign origin", "GET", "/health", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403, mesh.Forbidden},
		{"a foreign origin at the socket", "GET", "/ws", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403, mesh.Forbidden},
		{"a page of another port here", "POST", "/v1/meshes", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:3000") }, 403, mesh.Forbidden},
		{"a sandboxed page", "POST", "/v1/meshes", func(r *http.Request) { r.Header.Set("Origin", "null") }, 403, mesh.Forbidden},
		{"a form", "POST", "/invites/abcdef/claim", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, mesh.UnsupportedMedia},
		{"no type", "POST", "/invites/abcdef/claim", func(r *http.Request) { r.Header.Del("Content-Type") }, 415, mesh.UnsupportedMedia},
		{"no token", "POST", "/v1/meshes", nil, 401, mesh.MissingToken},
		{"another token", "POST", "/v1/meshes", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401, mesh.BadToken},
		{"no scheme", "POST", "/v1/meshes", func(r *http.Request) { r.Header.Set("Authorization", s.token) }, 401, mesh.MissingToken},
		{"the token in the query", "POST", "/v1/meshes?token=" + s.token, nil, 401, mesh.MissingToken},
		{"metrics through a proxy", "GET", "/metrics", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") }, 401, mesh.MissingToken},
		{"another method", "DELETE", "/health", nil, 405, mesh.BadRequest},
		{"options", "OPTIONS", "/v1/meshes", nil, 405, mesh.BadRequest},
		{"nothing there", "GET", "/cli/meshes", nil, 404, mesh.NotFound},
		{"a query at the socket", "GET", "/ws?x=1", nil, 404, mesh.NotFound},
		{"a slash behind the socket", "GET", "/ws/", nil, 404, mesh.NotFound},
	} {
		req := s.request(t, c.method, c.path, nil)
		if c.method == http.MethodPost {
			req = s.request(t, c.method, c.path, struct{}{})
		}
		if c.edit != nil {
			c.edit(req)
		}
		status, body := s.do(t, req)
		if status != c.status || !strings.Contains(body, `"code":"`+string(c.code)+`"`) {
			t.Errorf("%s: got %d %s, want %d %s", c.name, status, body, c.status, c.code)
		}
	}
}

func TestHealthTellsNothingPrivate(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	m.enter(t, m.first, nil)
	status, body := s.do(t, s.request(t, http.MethodGet, "/health", nil))
	if status != http.StatusOK || !strings.HasPrefix(body, `{"status":"ok","db":"up","version":"`) {
		t.Errorf("got %d %s", status, body)
	}
	for _, private := range []string{string(m.id), string(m.first.id), m.first.pub(), s.data.Dir, s.token} {
		if strings.Contains(body, private) {
			t.Errorf("health tells %q", private)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	inside := m.enter(t, m.first, nil)
	inside.send(t, []byte(`{"type":"list_peers"}`))
	inside.next(t) // what a hello leads to was done
	refused := s.connect(t)
	refused.send(t, m.hello(m.first, func(r *protocol.HelloRequest) { r.MeshID = "nowhere" }))
	refused.wantError(t, "unauthorized")
	for _, edit := range []func(*http.Request){
		func(*http.Request) {},
		func(r *http.Request) {
			r.Header.Set("X-Forwarded-For", "192.0.2.1")
			r.Header.Set("Authorization", "Bearer "+s.token)
		},
	} {
		req := s.request(t, http.MethodGet, "/metrics", nil)
		edit(req)
		status, body := s.do(t, req)
		if status != http.StatusOK {
			t.Fatalf("got %d %s", status, body)
		}
		for _, want := range []string{
			"\nbroker_connections_total 1\n", "\nbroker_connections_active 1\n", "\nbroker_db_healthy 1\n", "\nbroker_queue_depth 0\n", "\nbroker_accept_seconds_count 0\n",
			"\nbroker_outbound_bytes ", "\nbroker_connections_rejected_total{reason=\"unauthorized\"} 1\n", "# TYPE broker_messages_routed_total counter\n",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("no %q in\n%s", want, body)
			}
		}
	}
}

// What is too large, too deep or not one JSON object.
func TestThreat13BadBodies(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	for name, c := range map[string]struct {
		body   string
		status int
		code   mesh.Code
	}{
		"empty":               {``, 400, mesh.BadJSON},
		"a list":              {`[]`, 400, mesh.BadJSON},
		"two documents":       {`{} {}`, 400, mesh.BadJSON},
		"a name twice":        {`{"name":"a","name":"b"}`, 400, mesh.BadJSON},
		"a name in capitals":  {`{"NAME":"a"}`, 400, mesh.BadJSON},
		"20,000 levels":       {`{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, 400, mesh.BadJSON},
		"not UTF-8":           {"{\"name\":\"\xff\"}", 400, mesh.BadJSON},
		"a megabyte":          {`{"name":"` + strings.Repeat("a", 1<<20) + `"}`, 413, mesh.PayloadTooLarge},
		"a name with escapes": {`{"name":"\u001b[31m"}`, 400, mesh.BadName},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+"/v1/meshes", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
		req.Header.Set("Authorization", "Bearer "+s.token)
		if status, body := s.do(t, req); status != c.status || !strings.Contains(body, string(c.code)) {
			t.Errorf("%s: got %d %s, want %d %s", name, status, body, c.status, c.code)
		}
	}
}

func TestWhoMayCreate(t *testing.T) {
	t.Parallel()
	closed := openSite(t, func(o *Options) { o.Settings.Create = "closed" })
	req := closed.request(t, http.MethodPost, "/v1/meshes", struct{}{})
	req.Header.Set("Authorization", "Bearer "+closed.token)
	if status, body := closed.do(t, req); status != http.StatusForbidden {
		t.Errorf("closed: got %d %s, want 403", status, body)
	}
	open := openSite(t, func(o *Options) { o.Settings.Create = "open" })
	open.token = "none"
	open.found(t)
	limited := false
	for range open.set.AddressRequests + 1 {
		status, _ := open.do(t, open.request(t, http.MethodPost, "/v1/meshes", struct{}{}))
		limited = limited || status == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("open: never refused for asking too often")
	}
}

func TestInvitePageIsTheSameForEveryCode(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	code := m.invite(t, 1)
	for _, c := range []string{code, "unknwnunknwn", "x", strings.Repeat("a", 5000), "%3Cscript%3E"} {
		resp, err := s.web.Do(s.request(t, http.MethodGet, "/i/"+c, nil))
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !bytes.Equal(body.Bytes(), invite.Page) || resp.Header.Get("Content-Security-Policy") != invite.PagePolicy {
			t.Errorf("%.20s: got %d, %v", c, resp.StatusCode, resp.Header)
		}
	}
	if bob := m.join(t, code, "bob"); bob.id == "" {
		t.Error("the page used the invite up")
	}
}

// A claim with an altered or used code, over HTTP.
func TestThreat38ClaimOverHTTP(t *testing.T) {
	t.Parallel()
	s := openSite(t, func(o *Options) { o.Settings.PublicURL = "https://mesh.example.org/base" })
	m := s.found(t)
	code := m.invite(t, 1)
	bob := m.join(t, code, "bob")
	if again := m.joinAs(t, code, bob); again.id != bob.id {
		t.Errorf("the same key again: got member %s, want %s", again.id, bob.id)
	}
	texts := map[string]bool{}
	for _, c := range []string{code, "unknwnunknwn", strings.Repeat("x", 5000)} {
		var got protocol.HTTPError
		s.post(t, "/invites/"+c+"/claim", claimOf(s, c, keyOf("carol"), "carol"), &got, http.StatusNotFound)
		texts[got.Error+string(got.Code)] = true
	}
	if len(texts) != 1 {
		t.Errorf("got different refusals: %v", texts)
	}
	var got protocol.ClaimAnswer
	s.post(t, "/invites/"+code+"/claim", claimOf(s, code, bob.key, "bob"), &got, http.StatusOK)
	if diff := cmp.Diff("wss://mesh.example.org/base/ws", got.BrokerURL); diff != "" {
		t.Errorf("broker_url (-want +got):\n%s", diff)
	}
	limited := false
	for range s.set.AddressRequests {
		status, _ := s.do(t, s.request(t, http.MethodPost, "/invites/"+code+"/claim", struct{}{}))
		limited = limited || status == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("claims are never refused for coming too often")
	}
}
