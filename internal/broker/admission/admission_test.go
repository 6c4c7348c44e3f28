package admission

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

const host = "127.0.0.1:7900"

var hosts = []string{"localhost:7900", host}

// world is an empty broker.
type world struct {
	*Admission
	now    time.Time
	closed []mesh.ID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{now: time.UnixMilli(1_700_000_000_000).UTC()}
	clock := func() time.Time { return w.now }
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), clock, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	seen := map[string]bool{}
	w.Admission = &Admission{
		DB: db, Now: clock,
		Once: func(parts ...string) bool {
			first := !seen[strings.Join(parts, " ")]
			seen[strings.Join(parts, " ")] = true
			return first
		},
		Close: func(_, member mesh.ID, code mesh.CloseCode, _ string) {
			if code == mesh.CloseNormal {
				w.closed = append(w.closed, member)
			}
		},
	}
	return w
}

// request is a mesh of two new keys, signed by both.
func (w *world) request(t *testing.T, edit func(*protocol.MeshCreateRequest)) protocol.MeshCreateRequest {
	t.Helper()
	req := protocol.MeshCreateRequest{Name: "Our Mesh", Member: protocol.NewMember{DisplayName: "alice@host"}, RootKey: seal.Base64URL(make([]byte, 32))}
	if edit != nil {
		edit(&req)
	}
	return w.sign(t, req, seal.NewSecretKey(), seal.NewSecretKey())
}

func (w *world) sign(t *testing.T, req protocol.MeshCreateRequest, owner, member seal.SecretKey) protocol.MeshCreateRequest {
	t.Helper()
	text := seal.MeshCreate{Host: host, Slug: req.Slug, Owner: owner.Public(), Member: member.Public(), CreatedAt: w.now}
	byOwner, err := text.Sign(owner)
	if err != nil {
		t.Fatal(err)
	}
	byMember, err := text.Sign(member)
	if err != nil {
		t.Fatal(err)
	}
	req.OwnerPubkey, req.Member.Pubkey, req.CreatedAtMs = owner.Public().String(), member.Public().String(), w.now.UnixMilli()
	req.OwnerSignature, req.MemberSignature = byOwner.String(), byMember.String()
	return req
}

func TestMeshIsMadeByItsKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	req := w.request(t, nil)
	got, err := w.CreateMesh(t.Context(), hosts, req)
	if err != nil {
		t.Fatal(err)
	}
	var m store.Mesh
	var member store.Member
	err = w.DB.Read(t.Context(), func(tx *sqlite.Tx) (err error) {
		if m, err = store.FindMeshBySlug(tx, "our-mesh"); err != nil {
			return err
		}
		member, err = store.FindMember(tx, got.MemberID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantMesh := store.Mesh{ID: got.MeshID, Slug: "our-mesh", Name: "Our Mesh", OwnerKey: mesh.Key(req.OwnerPubkey), RootKey: req.RootKey, CreatedAt: w.now}
	if diff := cmp.Diff(wantMesh, m); diff != "" {
		t.Errorf("mesh (-want +got):\n%s", diff)
	}
	if member.Mesh != m.ID || string(member.Key) != req.Member.Pubkey || member.Name != "alice@host" || member.Role != store.RoleAdmin || got.Role != "admin" {
		t.Errorf("got member %+v and answer %+v", member, got)
	}
}

func TestSlugs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	create := func(name, slug string) (string, error) {
		got, err := w.CreateMesh(t.Context(), hosts, w.request(t, func(r *protocol.MeshCreateRequest) { r.Name, r.Slug = name, slug }))
		return got.Slug, err
	}
	for _, c := range []struct{ name, slug, want string }{
		{"Team", "team", "team"}, {"Team", "", "team-2"}, {"Team!", "", "team-3"}, {strings.Repeat("x", 40), "", strings.Repeat("x", 32)},
		{strings.Repeat("x", 40), "", strings.Repeat("x", 30) + "-2"},
	} {
		if got, err := create(c.name, c.slug); err != nil || got != c.want {
			t.Errorf("%s/%s: got %q and %v, want %q", c.name, c.slug, got, err, c.want)
		}
	}
	if _, err := create("Other", "team"); !mesh.IsCode(err, mesh.SlugTaken) {
		t.Errorf("a slug that is taken: got %v, want slug_taken", err)
	}
	for _, slug := range []string{"A", "-x", "x", "ä", "x/y", strings.Repeat("x", 33)} {
		if _, err := create("Other", slug); !mesh.IsCode(err, mesh.BadName) {
			t.Errorf("slug %q: got %v, want bad_name", slug, err)
		}
	}
}

// Keys and signatures that are ill formed, weak or another's make no mesh.
func TestThreat5BadKeysMakeNoMesh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := seal.NewSecretKey()
	weak := "01" + strings.Repeat("0", 62)
	for name, c := range map[string]struct {
		edit func(*protocol.MeshCreateRequest)
		want mesh.Code
	}{
		"weak owner":        {func(r *protocol.MeshCreateRequest) { r.OwnerPubkey = weak }, mesh.WeakKey},
		"weak member":       {func(r *protocol.MeshCreateRequest) { r.Member.Pubkey = weak }, mesh.WeakKey},
		"31 bytes":          {func(r *protocol.MeshCreateRequest) { r.OwnerPubkey = r.OwnerPubkey[:62] }, mesh.Malformed},
		"upper case":        {func(r *protocol.MeshCreateRequest) { r.OwnerPubkey = strings.ToUpper(r.OwnerPubkey) }, mesh.Malformed},
		"63-byte signature": {func(r *protocol.MeshCreateRequest) { r.OwnerSignature = r.OwnerSignature[:126] }, mesh.Malformed},
		"another owner":     {func(r *protocol.MeshCreateRequest) { r.OwnerPubkey = other.Public().String() }, mesh.BadSignature},
		"another member":    {func(r *protocol.MeshCreateRequest) { r.Member.Pubkey = other.Public().String() }, mesh.BadSignature},
		"swapped signatures": {func(r *protocol.MeshCreateRequest) {
			r.OwnerSignature, r.MemberSignature = r.MemberSignature, r.OwnerSignature
		}, mesh.BadSignature},
		"another slug":        {func(r *protocol.MeshCreateRequest) { r.Slug = "other" }, mesh.BadSignature},
		"another time":        {func(r *protocol.MeshCreateRequest) { r.CreatedAtMs++ }, mesh.BadSignature},
		"ten minutes ago":     {func(r *protocol.MeshCreateRequest) { r.CreatedAtMs -= 600_000 }, mesh.TimestampSkew},
		"the end of time":     {func(r *protocol.MeshCreateRequest) { r.CreatedAtMs = 1<<63 - 1 }, mesh.TimestampSkew},
		"short root key":      {func(r *protocol.MeshCreateRequest) { r.RootKey = "AAAA" }, mesh.Malformed},
		"padded root key":     {func(r *protocol.MeshCreateRequest) { r.RootKey += "=" }, mesh.Malformed},
		"no name":             {func(r *protocol.MeshCreateRequest) { r.Name = "" }, mesh.BadName},
		"name with an escape": {func(r *protocol.MeshCreateRequest) { r.Name = "a\x1b[0mb" }, mesh.BadName},
		"bidi member name":    {func(r *protocol.MeshCreateRequest) { r.Member.DisplayName = "a\u202eb" }, mesh.BadName},
	} {
		req := w.request(t, nil)
		c.edit(&req)
		if _, err := w.CreateMesh(t.Context(), hosts, req); !mesh.IsCode(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if _, err := w.CreateMesh(t.Context(), []string{"other.example:443"}, w.request(t, nil)); !mesh.IsCode(err, mesh.BadSignature) {
		t.Errorf("signed for another broker: got %v, want bad_signature", err)
	}
	req := w.request(t, nil)
	if _, err := w.CreateMesh(t.Context(), hosts, req); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreateMesh(t.Context(), hosts, req); !mesh.IsCode(err, mesh.Replay) {
		t.Errorf("the same again: got %v, want replay", err)
	}
}

func TestMembersLeaveAndTheOwnerDoesNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made, err := w.CreateMesh(t.Context(), hosts, w.request(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	bob := store.Member{ID: mesh.NewID(), Mesh: made.MeshID, Key: mesh.Key(seal.NewSecretKey().Public().String()), Name: "bob", Role: store.RoleAdmin}
	if err := w.DB.Write(t.Context(), func(tx *sqlite.Tx) error { _, _, err := store.AddMember(tx, bob); return err }); err != nil {
		t.Fatal(err)
	}
	leave := func(member mesh.ID) (answer protocol.LeaveAnswer, err error) {
		w.Leave(t.Context(), &session.Session{Mesh: made.MeshID, Member: member, MemberKey: "x"}, protocol.LeaveRequest{}, func(a protocol.LeaveAnswer, e error) { answer, err = a, e })
		return answer, err
	}
	if _, err := leave(made.MemberID); !mesh.IsCode(err, mesh.Forbidden) {
		t.Errorf("the owner: got %v, want forbidden", err)
	}
	if answer, err := leave(bob.ID); err != nil || !answer.Left {
		t.Errorf("bob: got %+v and %v", answer, err)
	}
	if diff := cmp.Diff([]mesh.ID{bob.ID}, w.closed); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
	err = w.DB.Read(t.Context(), func(tx *sqlite.Tx) error {
		members, err := store.ListMembers(tx, made.MeshID)
		if len(members) != 1 || members[0].ID != made.MemberID {
			t.Errorf("got members %+v, want the owner alone", members)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
