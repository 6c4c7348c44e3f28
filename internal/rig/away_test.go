package rig

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
)

// Where a broker cannot be asked, who was known last stands in for its roster: in a watch nobody comes by that.
func TestNobodyComesWhileTheBrokerIsAway(t *testing.T) {
	trio(t, settings{}, func(t *testing.T, w *world, ada, ben, carol *Home) {
		w.Send(carol, "ada", "hi") // so that ada knows her
		w.wantTexts(ada, "hi")
		carol.Stop()
		pass(5 * time.Minute)
		w.wantPeers(ada, "ada", "ben")
		ctx, cancel := context.WithCancel(t.Context())
		changes, over := make(chan localapi.PeerChange, 100), make(chan error, 1)
		go func() {
			over <- ada.process.daemon.Server().Node.Presence().Watch(ctx, "", localapi.PeersRequest{}, func(all []localapi.PeerChange) error {
				for _, c := range all {
					changes <- c
				}
				return nil
			})
		}()
		pass(5 * time.Second)
		ada.Link(w.broker).Cut()
		pass(5 * time.Second)
		cancel()
		w.must(<-over)
		close(changes)
		var got []string
		for c := range changes {
			if c.Peer != nil {
				got = append(got, c.Change+" "+c.Peer.DisplayName)
			}
		}
		if want := []string{"changed ada", "changed ben", "here ada", "here ben"}; !slices.Equal(sorted(got), want) {
			t.Errorf("got %q, want %q", sorted(got), want)
		}
	})
}
