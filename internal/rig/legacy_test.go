package rig

import (
	"testing"

	"github.com/claudemesh/claudemesh/internal/localapi"
)

// Links of version 1 hold nothing by which two of one second would differ: each of several that are made at once works.
func TestLegacyLinksOfOneSecond(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		links := map[string]bool{}
		for range 3 {
			invite, err := localapi.InviteCreate.Do(t.Context(), ada, localapi.InviteCreateRequest{Slug: "team", Legacy: true})
			w.must(err)
			links[invite.URL] = true
		}
		if len(links) != 3 {
			t.Errorf("got %d links, want three that differ", len(links))
		}
	})
}
