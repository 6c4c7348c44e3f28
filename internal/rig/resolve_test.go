package rig

import (
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// Who joined a moment after the roster was read is found all the same, and who is in none is asked for once.
func TestNameOfANewcomer(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		asked := 0
		ben.Link(w.broker).Delay(func() time.Duration { return time.Millisecond })
		ben.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "list_peers" {
				asked++
			}
			return f.Pass()
		})
		w.wantPeers(ben, "ada", "ben")
		carol := w.Home("carol", nil)
		ada.Join("team", carol)
		w.Send(ben, "carol", "welcome")
		w.wantTexts(carol, "welcome")
		for range 5 {
			w.Send(ben, "carol", "once more")
		}
		if asked != 2 {
			t.Errorf("the roster was read %d times, want 2", asked)
		}
		pass(time.Minute)
		if _, err := localapi.Send.Do(t.Context(), ben, localapi.SendRequest{To: "nobody", Message: "?"}); !mesh.IsCode(err, mesh.TargetNotFound) {
			t.Errorf("got %v, want %s", err, mesh.TargetNotFound)
		}
		if asked != 3 {
			t.Errorf("the roster was read %d times, want 3", asked)
		}
	})
}

// A mesh that hangs costs the resolution of names 2 s, and not at each message.
func TestLesson16NamesWhileAnotherMeshHangs(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		second := w.Broker(there, nil)
		ada.Found(second, "other")
		pass(time.Minute)
		ada.Link(second).Stall(memnet.Up)
		for i, limit := range []time.Duration{2100 * time.Millisecond, 0, 0, 0} {
			began := time.Now()
			w.Send(ada, "ben", "hello")
			if took := time.Since(began); took > limit {
				t.Errorf("message %d took %v, want at most %v", i, took, limit)
			}
		}
		began := time.Now()
		if _, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: "nobody", Message: "?"}); !mesh.IsCode(err, mesh.TargetNotFound) {
			t.Errorf("got %v, want %s", err, mesh.TargetNotFound)
		}
		if took := time.Since(began); took > 2100*time.Millisecond {
			t.Errorf("an unknown name took %v, want at most 2 s: callers give up after 3", took)
		}
	})
}
