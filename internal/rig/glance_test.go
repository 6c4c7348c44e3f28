package rig

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// glance reads the numbers of a status line.
func (w *world) glance(d localapi.Doer) localapi.StatusLineAnswer {
	w.T.Helper()
	answer, err := localapi.StatusLine.Do(w.T.Context(), d, localapi.None{})
	w.must(err)
	return answer
}

// A status line counts what is its session's own, what is kept from it apart, and who is there; for the user all.
func TestStatusLineCounts(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one := w.open(ada, "one")
		wild := &Session{ID: "wild", home: ada}
		answer, err := localapi.SessionRegister.Do(t.Context(), wild, localapi.RegisterRequest{
			SessionID: "wild", PID: os.Getpid(), CWD: "/", DisplayName: "wild", Host: localapi.Host{Name: "codex"},
		})
		w.must(err)
		wild.Token = answer.Token
		w.wantSessionOpen(wild)
		for _, to := range []string{"one", "one", "wild"} {
			w.wantState(ben, w.Send(ben, to, "hello").ClientMessageID, mesh.StateDelivered)
		}
		for _, tc := range []struct {
			reader       localapi.Doer
			name         string
			unread, held int
		}{{one, "one", 2, 0}, {wild, "wild", 1, 1}, {ada, "", 3, 0}} {
			got := w.glance(tc.reader)
			if got.Name != tc.name || got.Unread != tc.unread || got.Held != tc.held {
				t.Errorf("got %+v, want %q with %d unread, %d of them held", got, tc.name, tc.unread, tc.held)
			}
			if len(got.Meshes) != 1 || got.Meshes[0].Status != "open" || got.Meshes[0].Online == 0 || got.Meshes[0].Peers < got.Meshes[0].Online {
				t.Errorf("%q: got the meshes %+v, want one with who is there", tc.name, got.Meshes)
			}
		}
		seen := w.glance(one).Meshes
		_, err = localapi.Inbox.Do(t.Context(), one, localapi.InboxRequest{})
		w.must(err)
		if got := w.glance(one); got.Unread != 0 {
			t.Errorf("got %d unread after they were listed, want none", got.Unread)
		}
		if diff := cmp.Diff(seen, w.glance(one).Meshes); diff != "" {
			t.Errorf("the second glance differs (-first +second):\n%s", diff)
		}
	})
}
