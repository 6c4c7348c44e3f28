package rig

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
)

// Who belongs to a mesh is listed with roles, connected or not; without the broker it is who was met.
func TestMembers(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		want := func(online bool, want ...string) {
			t.Helper()
			w.Until(fmt.Sprintf("the members are %q", want), func() bool {
				answer, err := localapi.Members.Do(t.Context(), ada, localapi.MembersRequest{Online: online})
				w.must(err)
				var got []string
				for _, m := range answer.Members {
					got = append(got, fmt.Sprintf("%s %s %t %t", m.DisplayName, m.Role, m.Online, m.Verified))
				}
				return slices.Equal(got, want)
			})
		}
		want(false, "ada admin true true", "ben member true false")
		_, err := localapi.TrustAccept.Do(t.Context(), ada, localapi.TrustDecision{Peer: "ben"})
		w.must(err)
		ben.Stop()
		want(true, "ada admin true true")
		want(false, "ada admin true true", "ben member false true")
		ada.Link(w.broker).Cut()
		pass(2 * time.Minute)
		want(false, "ada  false true", "ben  false true")
	})
}
