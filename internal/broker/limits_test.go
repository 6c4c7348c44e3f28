package broker

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestSeats(t *testing.T) {
	t.Parallel()
	set := config.DefaultBroker()
	set.Connections, set.MeshConnections, set.MemberConnections = 5, 4, 2
	reached := map[config.Bound]int{}
	s := newSeats(set, func(b config.Bound) { reached[b]++ })
	sit := func(m, member, who string, want bool) {
		t.Helper()
		p := seat{mesh: mesh.ID(m), member: mesh.Key(member), who: who}
		for what, err := range map[string]error{"free": s.free(p), "take": s.take(p)} {
			if (err == nil) != want || err != nil && !mesh.IsCode(err, mesh.Capacity) {
				t.Errorf("%v: %s gave %v, want a place: %v", p, what, err, want)
			}
		}
	}
	sit("m", "alice", "1", true)
	sit("m", "alice", "2", true)
	sit("m", "alice", "3", false) // of the member
	sit("m", "alice", "2", true)  // takes over
	sit("m", "bob", "1", true)
	sit("m", "carol", "1", true)
	sit("m", "dave", "1", false) // of the mesh
	sit("n", "alice", "1", true)
	sit("n", "bob", "1", false) // of the process
	s.leave(seat{"m", "alice", "2"})
	sit("m", "alice", "3", false) // the other one still sits there
	s.leave(seat{"m", "alice", "2"})
	sit("m", "alice", "3", true)
	for _, p := range []seat{{"m", "alice", "1"}, {"m", "alice", "3"}, {"m", "bob", "1"}, {"m", "carol", "1"}, {"n", "alice", "1"}} {
		s.leave(p)
	}
	if len(s.meshes) != 0 || s.taken != 0 {
		t.Errorf("got %d meshes and %d taken after all left, want none", len(s.meshes), s.taken)
	}
	want := map[config.Bound]int{config.BoundMemberConnections: 2, config.BoundMeshConnections: 2, config.BoundConnections: 4}
	if diff := cmp.Diff(want, reached); diff != "" {
		t.Errorf("bounds that were met (-want +got):\n%s", diff)
	}
}
