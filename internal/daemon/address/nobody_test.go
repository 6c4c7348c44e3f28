package address

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// An error about a peer that is not there names who is, and what was probably meant (cli 29).
func TestNobodyIsAnsweredWithWhoIsThere(t *testing.T) {
	t.Parallel()
	team := meshOf("team", daemon(me, "me@laptop", "daemon"), daemon(bob, "ben@vm", "daemon"), session(bob, bob1, "ben@vm", "Build"),
		offline(session(carol, carol1, "", "review")))
	strange := meshOf("team", session(bob, bob1, "", "ben\u202etxt"))
	for name, c := range map[string]struct {
		to    string
		mesh  Mesh
		text  string
		names []string
	}{
		"the start of a name":     {"ben", team, `no peer "ben" in team; did you mean "ben@vm"?`, []string{"Build", "ben@vm"}},
		"in another case":         {"BIULD", team, `no peer "BIULD" in team; did you mean "Build"?`, []string{"Build", "ben@vm"}},
		"of one that is offline":  {"revew", team, `no peer "revew" in team; did you mean "review"?`, []string{"Build", "ben@vm"}},
		"of one that was met":     {"olga", meshOf("team").knows(Known{Member: bob, MemberName: "olga@vm"}).silent(), `no peer "olga" is known; team did not answer; did you mean "olga@vm"?`, nil},
		"nothing like it":         {"nobody", team, `no peer "nobody" in team`, []string{"Build", "ben@vm"}},
		"one's own is not meant":  {"me", team, `no peer "me" in team`, []string{"Build", "ben@vm"}},
		"a rejected one":          {"ben", team.pinned(Pin{Member: bob, Rejected: true}), `no peer "ben" in team`, nil},
		"a name that is no name":  {"ben", strange, `no peer "ben" in team`, nil},
		"the beginning of no key": {"0123456789abcdef", team, `no peer "0123456789abcdef" in team`, []string{"Build", "ben@vm"}},
	} {
		_, err := Resolve(context.Background(), Request{To: c.to, Meshes: []Mesh{c.mesh}})
		var e *mesh.Error
		if !errors.As(err, &e) || e.Code != mesh.TargetNotFound || e.Error() != c.text {
			t.Errorf("%s: got %v, want %s: %s", name, err, mesh.TargetNotFound, c.text)
			continue
		}
		var names []string
		for _, candidate := range e.Details.Candidates {
			names = append(names, candidate.Name)
			if !candidate.Online || candidate.Mesh != "team" {
				t.Errorf("%s: %+v is not online in team", name, candidate)
			}
		}
		if diff := cmp.Diff(c.names, names); diff != "" {
			t.Errorf("%s: who is online (-want +got):\n%s", name, diff)
		}
	}
}
