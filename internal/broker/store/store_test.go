package store

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

func open(t *testing.T) *sqlite.DB {
	t.Helper()
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), time.Now, nil)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func write(t *testing.T, db *sqlite.DB, fn func(*sqlite.Tx) error) error {
	t.Helper()
	return db.Write(t.Context(), fn)
}

func must(t *testing.T, db *sqlite.DB, fn func(*sqlite.Tx) error) {
	t.Helper()
	if err := write(t, db, fn); err != nil {
		t.Fatal(err)
	}
}

func key(name string) mesh.Key {
	return mesh.Key((fmt.Sprintf("%x", name) + strings.Repeat("0", 64))[:64])
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func addMesh(t *testing.T, db *sqlite.DB, id mesh.ID, slug string) {
	t.Helper()
	must(t, db, func(tx *sqlite.Tx) error {
		return AddMesh(tx, Mesh{ID: id, Slug: slug, Name: slug, OwnerKey: key("own"), RootKey: "r", CreatedAt: noon})
	})
}

func TestMeshSlugsAreTakenByLivingMeshes(t *testing.T) {
	t.Parallel()
	db := open(t)
	addMesh(t, db, "m1", "team")
	err := write(t, db, func(tx *sqlite.Tx) error { return AddMesh(tx, Mesh{ID: "m2", Slug: "team", CreatedAt: noon}) })
	if !mesh.IsCode(err, mesh.SlugTaken) {
		t.Errorf("got %v, want slug_taken", err)
	}
	must(t, db, func(tx *sqlite.Tx) error {
		for _, find := range []func() (Mesh, error){
			func() (Mesh, error) { return FindMesh(tx, "m1") },
			func() (Mesh, error) { return FindMeshBySlug(tx, "team") },
		} {
			got, err := find()
			want := Mesh{ID: "m1", Slug: "team", Name: "team", OwnerKey: key("own"), RootKey: "r", CreatedAt: noon}
			if d := cmp.Diff(want, got); d != "" || err != nil {
				t.Errorf("mesh (-want +got), %v:\n%s", err, d)
			}
		}
		return ArchiveMesh(tx, "m1", noon)
	})
	addMesh(t, db, "m2", "team")
	must(t, db, func(tx *sqlite.Tx) error {
		if _, err := FindMesh(tx, "m1"); !mesh.IsCode(err, mesh.NotFound) {
			t.Errorf("an archived mesh: got %v, want not_found", err)
		}
		if err := ArchiveMesh(tx, "m1", noon); !mesh.IsCode(err, mesh.NotFound) {
			t.Errorf("archive again: got %v, want not_found", err)
		}
		return nil
	})
}

// The reference could have two members with one key (data model, invariant 1).
func TestAKeyIsOneActiveMember(t *testing.T) {
	t.Parallel()
	db := open(t)
	addMesh(t, db, "m1", "team")
	addMesh(t, db, "m2", "other")
	must(t, db, func(tx *sqlite.Tx) error {
		add := func(id, meshID mesh.ID) (Member, bool) {
			m, fresh, err := AddMember(tx, Member{ID: id, Mesh: meshID, Key: key("ann"), Name: "ann", Role: RoleMember, JoinedAt: noon})
			if err != nil {
				t.Fatal(err)
			}
			return m, fresh
		}
		first, fresh := add("a1", "m1")
		again, freshAgain := add("a2", "m1")
		if !fresh || freshAgain || again.ID != "a1" || again.N != first.N {
			t.Errorf("got %+v (%v), then %+v (%v); want the first member twice", first, fresh, again, freshAgain)
		}
		if other, fresh := add("a3", "m2"); !fresh || other.N == first.N {
			t.Errorf("in another mesh: got %+v, %v; want a member of its own", other, fresh)
		}
		if was, err := WasMember(tx, "m1", key("ann")); was || err != nil {
			t.Errorf("an active member: got %v, %v; want that it is no former one", was, err)
		}
		for _, want := range []bool{true, false} {
			if got, err := RevokeMember(tx, "a1", noon); got != want || err != nil {
				t.Errorf("revoke: got %v, %v; want %v", got, err, want)
			}
		}
		if was, err := WasMember(tx, "m1", key("ann")); !was || err != nil {
			t.Errorf("a revoked member: got %v, %v; want that it was one", was, err)
		}
		if got, err := FindMember(tx, "a1"); err != nil || got.Active() {
			t.Errorf("got %+v, %v; want the revoked member", got, err)
		}
		if back, fresh := add("a4", "m1"); !fresh || back.N == first.N {
			t.Errorf("joined again: got %+v, %v; want a new member", back, fresh)
		}
		if err := SeeMember(tx, "a4", noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := SeeMember(tx, "a4", noon); err != nil { // a clock that went back
			t.Fatal(err)
		}
		list, err := ListMembers(tx, "m1")
		if err != nil || len(list) != 1 || list[0].ID != "a4" || !list[0].LastSeen.Equal(noon.Add(time.Hour)) {
			t.Errorf("got %+v, %v; want the active member, seen at one", list, err)
		}
		return nil
	})
}

// Five joiners for one use: exactly one wins (data model, invariant 2).
func TestInviteUsesAreCountedOnce(t *testing.T) {
	t.Parallel()
	db := open(t)
	addMesh(t, db, "m1", "team")
	in := Invite{
		ID: "i1", Mesh: "m1", Version: 2, CodeHash: "h1", Role: RoleMember, MaxUses: 2, ExpiresAt: noon.Add(time.Hour), Signature: "s", CreatedBy: "a1", CreatedAt: noon,
	}
	must(t, db, func(tx *sqlite.Tx) error { return AddInvite(tx, in) })
	for _, twin := range []Invite{{ID: "i1", Mesh: "m1", CodeHash: "h2", Role: RoleMember}, {ID: "i2", Mesh: "m1", CodeHash: "h1", Role: RoleMember}} {
		if err := write(t, db, func(tx *sqlite.Tx) error { return AddInvite(tx, twin) }); !mesh.IsCode(err, mesh.Reused) {
			t.Errorf("invite %s with code %s: got %v, want idempotency_key_reused", twin.ID, twin.CodeHash, err)
		}
	}
	var group sync.WaitGroup
	won := make(chan bool, 5)
	for range 5 {
		group.Go(func() {
			must(t, db, func(tx *sqlite.Tx) error {
				ok, err := UseInvite(tx, "i1", noon)
				won <- ok
				return err
			})
		})
	}
	group.Wait()
	close(won)
	wins := 0
	for ok := range won {
		if ok {
			wins++
		}
	}
	if wins != 2 {
		t.Errorf("got %d uses, want 2", wins)
	}
	must(t, db, func(tx *sqlite.Tx) error {
		in.Used = 2
		got, err := FindInvite(tx, "h1")
		if d := cmp.Diff(in, got); d != "" || err != nil || got.Open(noon) {
			t.Errorf("invite (-want +got), %v:\n%s", err, d)
		}
		later := Invite{ID: "i2", Mesh: "m1", Version: 2, CodeHash: "h2", Role: RoleAdmin, MaxUses: 1, ExpiresAt: noon.Add(time.Hour), CreatedAt: noon.Add(time.Minute)}
		if err := AddInvite(tx, later); err != nil {
			return err
		}
		if ok, err := UseInvite(tx, "i2", later.ExpiresAt); ok || err != nil {
			t.Errorf("an expired invite: got %v, %v; want no use", ok, err)
		}
		for range 2 {
			if err := RevokeInvite(tx, "m1", "i2", noon); err != nil {
				return err
			}
		}
		if ok, err := UseInvite(tx, "i2", noon); ok || err != nil {
			t.Errorf("a revoked invite: got %v, %v; want no use", ok, err)
		}
		if err := RevokeInvite(tx, "m2", "i1", noon); !mesh.IsCode(err, mesh.NotFound) {
			t.Errorf("the invite of another mesh: got %v, want not_found", err)
		}
		if _, err := FindInvite(tx, "h3"); !mesh.IsCode(err, mesh.NotFound) {
			t.Errorf("no such code: got %v, want not_found", err)
		}
		list, err := ListInvites(tx, "m1")
		if err != nil || len(list) != 2 || list[0].ID != "i2" || list[0].Open(noon) {
			t.Errorf("got %+v, %v; want the newest first, and revoked", list, err)
		}
		return nil
	})
}

// A session key belongs to who announced it first, or proved it (design C4).
func TestSessionKeysAreClaimed(t *testing.T) {
	t.Parallel()
	db := open(t)
	addMesh(t, db, "m1", "team")
	addMesh(t, db, "m2", "other")
	must(t, db, func(tx *sqlite.Tx) error {
		var n []int64
		for i, m := range []mesh.ID{"m1", "m1", "m2"} {
			row, _, err := AddMember(tx, Member{ID: mesh.ID(fmt.Sprint("a", i)), Mesh: m, Key: key(fmt.Sprint(i)), Name: "x", Role: RoleMember, JoinedAt: noon})
			if err != nil {
				return err
			}
			n = append(n, row.N)
		}
		first := int64(0)
		for i, c := range []struct {
			mesh    mesh.ID
			member  int64
			proved  bool
			at      time.Duration
			refused bool
			owner   int64
			same    bool // the row of the first
		}{
			{mesh: "m1", member: n[0], owner: n[0], same: true},
			{mesh: "m1", member: n[1], refused: true},
			{mesh: "m1", member: n[0], at: time.Hour, owner: n[0], same: true},
			{mesh: "m1", member: n[1], proved: true, owner: n[1], same: true},
			{mesh: "m1", member: n[0], refused: true},
			{mesh: "m1", member: n[0], proved: true, refused: true},
			{mesh: "m2", member: n[2], owner: n[2]},
		} {
			s, err := ClaimSession(tx, Session{Mesh: c.mesh, Key: key("s"), Member: c.member, Proved: c.proved, Name: "s", LastSeen: noon.Add(c.at)})
			if i == 0 {
				first = s.N
			}
			switch {
			case c.refused != mesh.IsCode(err, mesh.BadSessionKey):
				t.Errorf("claim %d: got %v, want refused %v", i, err, c.refused)
			case !c.refused && (err != nil || s.Member != c.owner || (s.N == first) != c.same):
				t.Errorf("claim %d: got %+v, %v; want member %d", i, s, err, c.owner)
			}
		}
		return nil
	})
	must(t, db, func(tx *sqlite.Tx) error {
		s, err := FindSession(tx, "m1", key("s"))
		if err != nil || !s.Proved || !s.FirstSeen.Equal(noon) {
			t.Errorf("got %+v, %v; want it proved, and first seen at noon", s, err)
		}
		if err := SeeSession(tx, s.N, noon.Add(2*time.Hour)); err != nil {
			return err
		}
		for since, want := range map[time.Duration]int{2 * time.Hour: 1, 3 * time.Hour: 0} {
			if list, err := ListSessions(tx, "m1", noon.Add(since)); err != nil || len(list) != want {
				t.Errorf("since %s: got %d sessions, %v; want %d", since, len(list), err, want)
			}
		}
		if _, err := RevokeMember(tx, "a1", noon); err != nil {
			return err
		}
		if list, err := ListSessions(tx, "m1", noon); err != nil || len(list) != 0 {
			t.Errorf("of a revoked member: got %d sessions, %v; want none", len(list), err)
		}
		return nil
	})
}

// TestLatestSessions: of what a member called alike the last one is listed, and of the names the last ones.
func TestLatestSessions(t *testing.T) {
	t.Parallel()
	db := open(t)
	addMesh(t, db, "m1", "team")
	must(t, db, func(tx *sqlite.Tx) error {
		var n []int64
		for _, id := range []mesh.ID{"ann", "ben"} {
			row, _, err := AddMember(tx, Member{ID: id, Mesh: "m1", Key: key(string(id)), Name: string(id), Role: RoleMember, JoinedAt: noon})
			if err != nil {
				return err
			}
			n = append(n, row.N)
		}
		for i, s := range []Session{
			{Member: n[0], Name: "api", LastSeen: noon}, {Member: n[0], Name: "API", LastSeen: noon.Add(time.Hour)},
			{Member: n[0], Name: "web", LastSeen: noon.Add(-time.Hour)}, {Member: n[1], Name: "api", LastSeen: noon},
		} {
			s.Mesh, s.Key = "m1", key(fmt.Sprint(i))
			if _, err := ClaimSession(tx, s); err != nil {
				return err
			}
		}
		for most, want := range map[int]string{9: "API web api", 1: "API api"} {
			list, err := ListLatestSessions(tx, "m1", noon.Add(-2*time.Hour), most)
			var got []string
			for _, s := range list {
				got = append(got, s.Name)
			}
			if strings.Join(got, " ") != want || err != nil {
				t.Errorf("at most %d: got %q, %v; want %q", most, got, err, want)
			}
		}
		return nil
	})
}

func TestMessageIDsSortByTimeAndCannotBeGuessed(t *testing.T) {
	t.Parallel()
	var ids []string
	for i := range 300 {
		at := noon.Add(time.Duration(i*i) * time.Millisecond * 1000)
		id := string(NewMessageID(at))
		if len(id) != 32 || strings.Trim(id, idAlphabet) != "" {
			t.Fatalf("got id %q, want 32 base62 characters", id)
		}
		if id < idTime(at) || id >= idTime(at.Add(time.Millisecond)) {
			t.Errorf("got id %q outside of its millisecond", id)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Error("got ids that do not sort by their time")
	}
	a, b := NewMessageID(noon), NewMessageID(noon)
	same := 0
	for i := idTimeLen; i < len(a); i++ {
		if a[i] == b[i] {
			same++
		}
	}
	if same > 12 {
		t.Errorf("got %s and %s, want their ends to differ", a, b)
	}
	if got := idTime(time.UnixMilli(-5)); got != "00000000" {
		t.Errorf("got %q for a time before 1970, want the first", got)
	}
}

func TestOpenRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "broker.db")
	db, err := Open(t.Context(), path, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	must(t, db, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(`INSERT INTO member (id, mesh_id, peer_pubkey, display_name, role, joined_at) VALUES ('a', 'none', 'k', 'n', 'member', 1)`)
		if err == nil {
			t.Error("got a member of no mesh")
		}
		return nil
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), path, time.Now, nil)
	if err != nil {
		t.Fatalf("open again: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}
