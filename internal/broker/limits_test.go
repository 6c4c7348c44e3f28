package broker

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestSeats(t *testing.T) {
	t.Parallel()
	set := config.DefaultBroker()
	set.Connections, set.MeshConnections, set.MemberConnections = 5, 4, 2
	s := newSeats(set)
	sit := func(m, member, who string, want bool) {
		t.Helper()
		p := seat{mesh: mesh.ID(m), member: mesh.Key(member), who: who}
		if free := s.free(p); free != want {
			t.Errorf("%v: got free %v, want %v", p, free, want)
		}
		if got := s.take(p); got != want {
			t.Errorf("%v: got taken %v, want %v", p, got, want)
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
}

func TestStrangersAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(0)
	s := newStrangers(func() time.Time { return now })
	ask := func(addr string) bool { return s.admit(netip.MustParseAddr(addr)) == nil }
	for range strangerBurst {
		if !ask("192.0.2.1") || !ask("2001:db8::1") {
			t.Fatal("refused within the burst")
		}
	}
	if ask("192.0.2.1") || ask("2001:db8::ffff") {
		t.Error("admitted beyond the burst, want one bucket for an address and for a /64")
	}
	if !ask("192.0.2.2") || !ask("2001:db8:0:1::1") {
		t.Error("refused another address")
	}
	now = now.Add(time.Second)
	if !ask("192.0.2.1") || ask("192.0.2.1") {
		t.Error("want one more request after a second")
	}
	for range 2 * strangerBurst {
		if err := s.admit(netip.Addr{}); err != nil {
			t.Fatalf("without an address: %v", err)
		}
	}
	for i := range 2 * maxStrangers {
		ask(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
	}
	if len(s.of) > maxStrangers {
		t.Errorf("got %d buckets, want at most %d", len(s.of), maxStrangers)
	}
}
