package ipc

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// A process of another user that came to the socket all the same is refused on every route, and one whose user the
// system did not tell is, too.
func TestThreat32AnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, who := range map[string]any{
		"another user": registry.Caller{PID: os.Getpid(), UID: os.Getuid() + 1},
		"nobody":       registry.Caller{PID: os.Getpid(), UID: -1},
	} {
		for _, e := range localapi.Catalogue() {
			method, pattern, _ := strings.Cut(e.Route, " ")
			req := httptest.NewRequest(method, strings.NewReplacer("{", "", "}", "").Replace(pattern), strings.NewReader("{}"))
			req.Host = "localhost"
			req.Header.Set("Content-Type", "application/json")
			req = req.WithContext(context.WithValue(req.Context(), peerKey{}, who))
			got := httptest.NewRecorder()
			w.server.ServeHTTP(got, req)
			var refusal localapi.ErrorBody
			if err := wire.Decode(got.Body.Bytes(), &refusal); err != nil || got.Code != http.StatusForbidden || refusal.Code != mesh.Forbidden {
				t.Errorf("%s, %s: got %d %s, want 403 %s", name, e.Route, got.Code, got.Body, mesh.Forbidden)
			}
		}
	}
}

// At its bounds of requests and of event streams the daemon refuses the next one, at once and with a code, and takes it
// when there is room again.
func TestRequestsAndStreamsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		path   string
		places chan struct{}
		want   int // places, by the settings
	}{
		{"/v1/version", w.server.requests, w.server.Settings.IPCRequests},
		{"/v1/events", w.server.streams, w.server.Settings.IPCStreams},
	} {
		if cap(c.places) != c.want {
			t.Errorf("%s: got %d places, want %d", c.path, cap(c.places), c.want)
		}
		for range cap(c.places) {
			c.places <- struct{}{}
		}
		for range 3 {
			if status, e := w.do(t, ask{method: http.MethodGet, path: c.path}); status != http.StatusTooManyRequests || e.Code != mesh.RateLimited {
				t.Errorf("%s: got %d %s over the bound, want 429 %s", c.path, status, e.Code, mesh.RateLimited)
			}
		}
		<-c.places
	}
	if status, e := w.do(t, ask{method: http.MethodGet, path: "/v1/version"}); status != http.StatusOK {
		t.Errorf("got %d %s with room again, want 200", status, e.Code)
	}
}

// Who has no token hears that the daemon lives, where the user wants that said, and nothing else.
func TestPublicHealth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		public         bool
		method, target string
		header         map[string]string
		want           int
	}{
		{true, "GET", "/v1/health", nil, 200}, {false, "GET", "/v1/health", nil, 401}, {true, "GET", "/v1/version", nil, 401}, {true, "POST", "/v1/health", nil, 401},
		{true, "GET", "/v1/health?token=x", nil, 400}, {true, "GET", "/v1/health", map[string]string{"Origin": "http://localhost"}, 403},
		{true, "GET", "/v1/health", map[string]string{"Host": "evil.example"}, 403}, {true, "GET", "/v1/health", map[string]string{"Authorization": "Bearer no"}, 401},
	} {
		set := config.DefaultDaemon()
		set.TCPPublicHealth = c.public
		s := &Server{Options: Options{Settings: set, Token: testToken, Log: slog.New(slog.DiscardHandler)}}
		r := httptest.NewRequest(c.method, "http://127.0.0.1:47823"+c.target, nil)
		for name, value := range c.header {
			r.Header.Set(name, value)
			if name == "Host" {
				r.Host = value
			}
		}
		w := httptest.NewRecorder()
		bearer{s}.ServeHTTP(w, r)
		if w.Code != c.want || c.want == 200 && strings.TrimSpace(w.Body.String()) != `{"ok":true}` {
			t.Errorf("%+v: got %d %s", c, w.Code, w.Body)
		}
	}
}
