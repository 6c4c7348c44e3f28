package localdb

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func openDB(t *testing.T, path string) *DB {
	t.Helper()
	d, err := Open(t.Context(), path, func() time.Time { return noon }, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMesh(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemon.db")
	d := openDB(t, path)
	ctx := t.Context()
	if _, found, err := d.FindMesh(ctx, "m1"); found || err != nil {
		t.Errorf("got %t, %v, want nothing known", found, err)
	}
	one := Mesh{ID: "m1", Slug: "one", Name: "One", Owner: "owner", Role: "admin", IsOwner: true, BrokerPin: "pin", Unpinned: true}
	check(t, d.SaveMesh(ctx, Mesh{ID: "m1", Slug: "old"}))
	check(t, d.SaveMesh(ctx, Mesh{ID: "m2", Slug: "two"}))
	check(t, d.SaveMesh(ctx, one))
	got, found, err := d.FindMesh(ctx, "m1")
	if diff := cmp.Diff(one, got); diff != "" || !found || err != nil {
		t.Errorf("got %t, %v, difference %s", found, err, diff)
	}
	check(t, d.SeePeers(ctx, []Peer{{MeshID: "m1", Key: "a", LastSeen: noon}, {MeshID: "m2", Key: "b", LastSeen: noon}}))
	for _, id := range []mesh.ID{"m1", "m2"} {
		check(t, SkillsOf(d, id).Accept(ctx, Skill{Name: "deploy", Digest: "d", Text: "{}"}, noon))
	}
	check(t, d.RemoveMesh(ctx, "m1"))
	list, err := d.ListMeshes(ctx)
	if diff := cmp.Diff([]Mesh{{ID: "m2", Slug: "two"}}, list); diff != "" || err != nil {
		t.Errorf("got %v, difference %s", err, diff)
	}
	for id, want := range map[mesh.ID]int{"m1": 0, "m2": 1} {
		if peers, err := d.ListPeers(ctx, id); len(peers) != want || err != nil {
			t.Errorf("%s: got %v, %v, want %d peers", id, peers, err, want)
		}
		if skills, err := SkillsOf(d, id).List(ctx); len(skills) != want || err != nil {
			t.Errorf("%s: got %v, %v, want %d accepted skills", id, skills, err, want)
		}
	}
}

func TestPeers(t *testing.T) {
	t.Parallel()
	d := openDB(t, filepath.Join(t.TempDir(), "daemon.db"))
	ctx := t.Context()
	later := noon.Add(time.Hour)
	check(t, d.SeePeers(ctx, nil))
	check(t, d.SeePeers(ctx, []Peer{
		{MeshID: "m1", Key: "s1", MemberKey: "k1", Name: "alpha", MemberName: "ann", Session: true, LastSeen: later},
		{MeshID: "m1", Key: "k1", MemberKey: "k1", Name: "ann", LastSeen: noon},
	}))
	check(t, d.SeePeers(ctx, []Peer{{MeshID: "m1", Key: "s1", MemberKey: "k1", Name: "beta", Session: true, LastSeen: noon}}))
	want := []Peer{
		{MeshID: "m1", Key: "s1", MemberKey: "k1", Name: "beta", MemberName: "ann", Session: true, FirstSeen: later, LastSeen: later},
		{MeshID: "m1", Key: "k1", MemberKey: "k1", Name: "ann", FirstSeen: noon, LastSeen: noon},
	}
	got, err := d.ListPeers(ctx, "m1")
	if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0)); diff != "" || err != nil {
		t.Errorf("got %v, difference %s", err, diff)
	}
	check(t, d.SeePeers(ctx, []Peer{{MeshID: "m1", Key: "s0", MemberKey: "k1", Name: "Beta", Session: true, LastSeen: noon}}))
	if names, err := ListNames(ctx, d, "m1"); len(names) != 2 || names[0].Key != "s1" || err != nil {
		t.Errorf("got %+v, %v, want the last session called beta, and its member", names, err)
	}
	one, found, err := d.FindPeer(ctx, "m1", "s1")
	if diff := cmp.Diff(want[0], one, cmpopts.EquateApproxTime(0)); diff != "" || !found || err != nil {
		t.Errorf("got %t, %v, difference %s", found, err, diff)
	}
	if _, found, err := d.FindPeer(ctx, "m2", "s1"); found || err != nil {
		t.Errorf("got %t, %v, want a key to be known in its mesh only", found, err)
	}
}

func TestPrunePeers(t *testing.T) {
	t.Parallel()
	d := openDB(t, filepath.Join(t.TempDir(), "daemon.db"))
	ctx := t.Context()
	check(t, d.SeePeers(ctx, []Peer{
		{MeshID: "m1", Key: "old", Session: true, LastSeen: noon},
		{MeshID: "m1", Key: "new", Session: true, LastSeen: noon.Add(time.Millisecond)},
		{MeshID: "m1", Key: "member", LastSeen: noon},
	}))
	if n, err := d.PrunePeers(ctx, noon.Add(sessionIdle)); n != 1 || err != nil {
		t.Errorf("got %d, %v, want one session pruned", n, err)
	}
	if _, found, _ := d.FindPeer(ctx, "m1", "old"); found {
		t.Error("got the idle session, want it gone")
	}
}

func TestPeersAreBounded(t *testing.T) {
	t.Parallel()
	d := openDB(t, filepath.Join(t.TempDir(), "daemon.db"))
	ctx := t.Context()
	var peers []Peer
	for i := range 10 {
		peers = append(peers, Peer{MeshID: "m1", Key: mesh.Key(fmt.Sprint("s", i)), Session: true, LastSeen: noon.Add(time.Duration(i) * time.Second)})
	}
	peers = append(peers, Peer{MeshID: "m1", Key: "member", LastSeen: noon.Add(-time.Hour)}, Peer{MeshID: "m2", Key: "other", LastSeen: noon})
	check(t, d.SeePeers(ctx, peers))
	check(t, d.db.Write(ctx, func(tx *sqlite.Tx) error { return boundPeers(tx, "m1", 3) }))
	var got []mesh.Key
	for _, id := range []mesh.ID{"m1", "m2"} {
		list, err := d.ListPeers(ctx, id)
		check(t, err)
		for _, p := range list {
			got = append(got, p.Key)
		}
	}
	if diff := cmp.Diff([]mesh.Key{"s9", "s8", "member", "other"}, got); diff != "" {
		t.Error("who is left:", diff)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemon.db")
	d, err := Open(t.Context(), path, func() time.Time { return noon }, nil)
	check(t, err)
	ctx := t.Context()
	full := Session{
		ID: "s1", PID: 4711, StartTime: "12345", CWD: "/w", Name: "alpha", Role: "builder",
		Groups: []protocol.Group{{Name: "team", Role: "lead"}}, MessageMode: "push", HostName: "claude-code", HostVersion: "2.1",
		HostMode: "plan", TokenHash: "hash", Meshes: []mesh.ID{"m1", "m2"}, Registered: noon.Add(time.Second), Amended: `{"role":"x"}`,
	}
	check(t, d.SaveSession(ctx, Session{ID: "s1", Name: "old", Registered: noon}))
	check(t, d.SaveSession(ctx, full))
	check(t, d.SaveSession(ctx, Session{ID: "s0", Registered: noon}))
	check(t, d.Close())

	d = openDB(t, path)
	list, err := d.ListSessions(ctx)
	if diff := cmp.Diff([]Session{{ID: "s0", Registered: noon}, full}, list, cmpopts.EquateApproxTime(0), cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("got %v after opening again, difference %s", err, diff)
	}
	check(t, d.EndSession(ctx, "s1", noon))
	check(t, d.EndSession(ctx, "unknown", noon))
	if list, err := d.ListSessions(ctx); len(list) != 1 || err != nil {
		t.Errorf("got %v, %v, want one left", list, err)
	}
}

// A session that ended is known by its name for as long as a message of it may wait.
func TestDeparted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := openDB(t, filepath.Join(t.TempDir(), "daemon.db"))
	check(t, d.SaveSession(ctx, Session{ID: "s1", Name: "alpha", Role: "builder", CWD: "/w", Registered: noon}))
	if _, err := FindDeparted(ctx, d, "s1"); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("got %v of a session that lives, want not_found", err)
	}
	check(t, d.EndSession(ctx, "s1", noon))
	check(t, d.EndSession(ctx, "unknown", noon))
	if list, err := d.ListSessions(ctx); len(list) != 0 || err != nil {
		t.Errorf("got %v, %v, want none left", list, err)
	}
	check(t, d.EndSession(ctx, "another", noon.Add(sessionIdle-time.Millisecond)))
	got, err := FindDeparted(ctx, d, "s1")
	if want := (Departed{ID: "s1", Name: "alpha", Role: "builder", CWD: "/w"}); got != want || err != nil {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	check(t, d.EndSession(ctx, "another", noon.Add(sessionIdle)))
	if _, err := FindDeparted(ctx, d, "s1"); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("got %v after 30 days, want not_found", err)
	}
}
