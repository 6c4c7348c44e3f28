package ipc

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

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
