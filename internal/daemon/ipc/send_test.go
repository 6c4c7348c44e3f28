package ipc

import (
	"net/http"
	"testing"

	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// The id of a request may stand in the header that other systems use for it: a retry with it sends nothing twice. The body's own
// id wins (daemon 8.2).
func TestIdempotencyKeyIsTheIDOfTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fingerprint, err := seal.Request{To: seal.ParseDestination("ben"), Priority: "next", Body: "once"}.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.server.Outbox.Accept(t.Context(), outbox.Draft{
		ClientID: "key-1", Fingerprint: fingerprint, MeshID: "m1", Mesh: "team", TargetSpec: "ben", Ciphertext: "x", Body: []byte("once"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		body   string
		status int
		code   mesh.Code
	}{
		{`{"to":"ben","message":"once"}`, http.StatusAccepted, ""},
		{`{"to":"ben","message":"twice"}`, http.StatusConflict, mesh.Reused},
		{`{"to":"ben","message":"twice","client_message_id":"key-2"}`, 0, mesh.NothingJoined},
	} {
		status, e := w.do(t, ask{method: "POST", path: "/v1/send", body: c.body, header: map[string]string{"Idempotency-Key": " key-1 ", "Content-Type": "application/json"}})
		if c.status != 0 && status != c.status || e.Code != c.code {
			t.Errorf("%s: got %d %s, want %d %s", c.body, status, e.Code, c.status, c.code)
		}
	}
}
