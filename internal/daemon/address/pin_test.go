package address

import (
	"context"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// pinned is the mesh with keys that hold names.
func (m Mesh) pinned(pins ...Pin) Mesh {
	m.Pins = pins
	return m
}

// What was pinned decides over what the broker says (design C7).
func TestPinnedNames(t *testing.T) {
	t.Parallel()
	bens := Pin{Member: bob, Name: "ben"}
	member := func(key mesh.Key, name string) protocol.Peer { return daemon(key, name, "") }
	team := meshOf("team", member(bob, "ben"), member(carol, "carol"), session(carol, carol1, "carol", "review"))
	renamed := meshOf("team", member(carol, "ben"), member(bob, "benny"))
	gone := meshOf("team", member(carol, "ben"))
	for name, c := range map[string]resolveCase{
		"the pinned key":                   {to: "ben", meshes: []Mesh{team.pinned(bens)}, want: Result{RecipientKey: bob}},
		"in another case":                  {to: "BEN", meshes: []Mesh{team.pinned(bens)}, want: Result{RecipientKey: bob}},
		"offline, by the pin alone":        {to: "ben", meshes: []Mesh{meshOf("team").pinned(bens)}, want: Result{RecipientKey: bob}},
		"roster is silent":                 {to: "ben", meshes: []Mesh{team.silent().pinned(bens)}, want: Result{RecipientKey: bob}},
		"renamed by the broker":            {to: "ben", meshes: []Mesh{meshOf("team", member(bob, "benny")).pinned(bens)}, want: Result{RecipientKey: bob}},
		"by the new name":                  {to: "benny", meshes: []Mesh{meshOf("team", member(bob, "benny")).pinned(bens)}, want: Result{RecipientKey: bob}},
		"two names swapped":                {to: "ben", meshes: []Mesh{renamed.pinned(bens)}, code: mesh.NameConflict, hits: []mesh.Key{bob, carol}},
		"both by one name":                 {to: "ben", meshes: []Mesh{meshOf("team", member(bob, "ben"), member(carol, "ben")).pinned(bens)}, code: mesh.NameConflict, hits: []mesh.Key{bob, carol}},
		"a session by the name":            {to: "ben", meshes: []Mesh{meshOf("team", member(bob, "ben"), session(carol, carol1, "carol", "ben")).pinned(bens)}, code: mesh.NameConflict, hits: []mesh.Key{bob, carol1}},
		"the key has changed":              {to: "ben", meshes: []Mesh{gone.pinned(bens)}, code: mesh.KeyChanged, hits: []mesh.Key{carol, bob}},
		"the changed one by its key":       {to: string(carol), meshes: []Mesh{gone.pinned(bens)}, want: Result{RecipientKey: carol}},
		"changed, and the change accepted": {to: "ben", meshes: []Mesh{gone.knows(Known{Member: bob, MemberName: "ben"}).pinned(Pin{Member: bob, Name: "ben", Replaced: true}, Pin{Member: carol, Name: "ben"})}, want: Result{RecipientKey: carol}},
		"both accepted":                    {to: "ben", meshes: []Mesh{renamed.pinned(bens, Pin{Member: carol, Name: "ben"})}, code: mesh.AmbiguousTarget, hits: []mesh.Key{bob, carol}},
		"the other one rejected":           {to: "ben", meshes: []Mesh{renamed.pinned(bens, Pin{Member: carol, Name: "ben", Rejected: true})}, want: Result{RecipientKey: bob}},
		"only a rejected one":              {to: "carol", meshes: []Mesh{team.pinned(Pin{Member: carol, Name: "carol", Rejected: true})}, code: mesh.PeerRejected},
		"a session of a rejected one":      {to: "review", meshes: []Mesh{team.pinned(Pin{Member: carol, Rejected: true})}, code: mesh.PeerRejected},
		"a rejected one by its key":        {to: string(carol), meshes: []Mesh{team.pinned(Pin{Member: carol, Rejected: true})}, code: mesh.PeerRejected},
		"a pin without a name":             {to: "ben", meshes: []Mesh{team.pinned(Pin{Member: carol})}, want: Result{RecipientKey: bob}},
		"a key in conflict by itself":      {to: string(carol), meshes: []Mesh{renamed.pinned(bens)}, want: Result{RecipientKey: carol}},
		"own name, claimed by another":     {to: "me", meshes: []Mesh{meshOf("team", member(me, "me"), member(carol, "me")).pinned(Pin{Member: me, Name: "me"})}, code: mesh.NameConflict, hits: []mesh.Key{carol}},
		"pinned in another mesh":           {to: "carol", meshes: []Mesh{team, meshOf("work").pinned(Pin{Member: bob, Name: "other"})}, want: Result{RecipientKey: carol}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.code != "" {
				testResolve(t, c)
				return
			}
			got, err := Resolve(context.Background(), Request{To: c.to, Meshes: c.meshes})
			if err != nil || got.RecipientKey != c.want.RecipientKey {
				t.Errorf("got %s, %v, want %s", got.RecipientKey, err, c.want.RecipientKey)
			}
		})
	}
}

func TestResultSaysWhoseKeyItIs(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]Result{
		"docs":            {Member: bob},
		string(bob2[:20]): {Member: bob},
		string(bob2):      {Member: bob, Exact: true},
		string(bob):       {Member: bob, Exact: true},
		string(nobody):    {Exact: true},
	} {
		got, err := Resolve(context.Background(), Request{To: to, Meshes: []Mesh{home}})
		if err != nil || got.Member != want.Member || got.Exact != want.Exact {
			t.Errorf("%s: got %+v, %v, want member %s, exact %t", to, got, err, want.Member, want.Exact)
		}
	}
}
