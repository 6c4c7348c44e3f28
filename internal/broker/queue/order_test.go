package queue

import (
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// A client that does not wait for acks names the message before; what is behind a refusal is refused too.
func TestNothingOvertakesARefusedMessage(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "alice", "bob")
		alice := w.attach("m", "alice", "")
		send := func(id, after mesh.ClientID) mesh.Code {
			req := request(string(key("bob")), string(id))
			req.ClientMessageID, req.After = id, after
			return alice.try(req).Code
		}
		for _, step := range []struct {
			id, after mesh.ClientID
			want      mesh.Code
		}{
			{"two", "one", mesh.OutOfOrder}, // one never came, or was refused
			{"three", "two", mesh.OutOfOrder},
			{"one", "", ""},
			{"two", "one", ""},
			{"two", "never", ""}, // a repeated message is what it was
			{"three", "two", ""},
		} {
			if got := send(step.id, step.after); got != step.want {
				t.Errorf("%s after %q: got code %q, want %q", step.id, step.after, got, step.want)
			}
		}
	})
}
