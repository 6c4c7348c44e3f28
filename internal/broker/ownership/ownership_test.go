package ownership

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/authority"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

const host = "127.0.0.1:7900"

var noon = time.UnixMilli(1_700_000_000_000).UTC()

// world is a broker's store with a mesh of three, and one more mesh.
type world struct {
	*Ownership
	owner            seal.SecretKey
	caller           *session.Session
	ada, ben, second store.Member
	told, toldMember []string
	closed           mesh.Code
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{owner: seal.NewSecretKey()}
	clock := func() time.Time { return noon }
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), clock, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	seen := map[string]bool{}
	w.Ownership = &Ownership{
		DB: db, Now: clock,
		Owner: &authority.Authority{Now: clock, Once: func(parts ...string) bool {
			first := !seen[parts[2]]
			seen[parts[2]] = true
			return first
		}},
		Tell:       func(_ mesh.ID, frame []byte) { w.told = append(w.told, string(frame)) },
		TellMember: func(member mesh.ID, frame []byte) { w.toldMember = append(w.toldMember, string(member)+string(frame)) },
		Close:      func(_ mesh.ID, _ mesh.CloseCode, reason string) { w.closed = mesh.Code(reason) },
	}
	m := store.Mesh{ID: mesh.NewID(), Slug: "team", Name: "Team", OwnerKey: mesh.Key(w.owner.Public().String()), RootKey: strings.Repeat("A", 43)}
	other := store.Mesh{ID: mesh.NewID(), Slug: "other", Name: "Other", OwnerKey: m.OwnerKey, RootKey: m.RootKey}
	member := func(name, role string) store.Member {
		return store.Member{ID: mesh.NewID(), Mesh: m.ID, Key: mesh.Key(seal.NewSecretKey().Public().String()), Name: name, Role: role}
	}
	w.ada, w.ben, w.second = member("ada", store.RoleAdmin), member("ben", store.RoleMember), member("ben", store.RoleMember)
	err = db.Write(t.Context(), func(tx *sqlite.Tx) error {
		for _, each := range []store.Mesh{m, other} {
			if err := store.AddMesh(tx, each); err != nil {
				return err
			}
		}
		for _, each := range []store.Member{w.ada, w.ben, w.second} {
			if _, _, err := store.AddMember(tx, each); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.caller = &session.Session{Mesh: m.ID, OwnerKey: m.OwnerKey, Member: w.ada.ID, MemberKey: w.ada.Key, Admin: true, Hosts: []string{host}}
	return w
}

// order signs a frame as the owner does.
func (w *world) order(t *testing.T, name string, args any) protocol.SignedOperation {
	t.Helper()
	text, err := wire.Encode(args)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := seal.ArgsHash(text)
	if err != nil {
		t.Fatal(err)
	}
	op := seal.Operation{Host: host, MeshID: string(w.caller.Mesh), Name: name, Args: hash, Nonce: mesh.NewToken()[:32], At: noon}
	signature, err := op.Sign(w.owner)
	if err != nil {
		t.Fatal(err)
	}
	return protocol.SignedOperation{Nonce: op.Nonce, AtMs: noon.UnixMilli(), Key: w.caller.OwnerKey, Signature: signature.String()}
}

func (w *world) rename(t *testing.T, slug, name string) (protocol.MeshRenameAnswer, error) {
	t.Helper()
	req := protocol.MeshRenameRequest{Slug: slug, Name: name}
	req.Operation = w.order(t, "mesh_rename", req.Signed())
	return w.Rename(t.Context(), w.caller, req)
}

func TestRename(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tc := range []struct {
		slug, name string
		code       mesh.Code
	}{
		{"", "", mesh.BadRequest}, {"Crew", "", mesh.BadName}, {"x", "", mesh.BadName}, {"crew", "\x1b[2J", mesh.BadName}, {"other", "", mesh.SlugTaken},
	} {
		if got, err := w.rename(t, tc.slug, tc.name); !mesh.IsCode(err, tc.code) || len(w.told) > 0 {
			t.Errorf("%q, %q: got %+v, %v, want %s and nobody told", tc.slug, tc.name, got, err, tc.code)
		}
	}
	if got, err := w.rename(t, "crew", ""); err != nil || got.Slug != "crew" || got.Name != "Team" {
		t.Errorf("got %+v, %v, want the slug changed and the name kept", got, err)
	}
	if got, err := w.rename(t, "", "The Crew"); err != nil || got.Slug != "crew" || got.Name != "The Crew" {
		t.Errorf("got %+v, %v, want the name changed and the slug kept", got, err)
	}
	if len(w.told) != 2 || !strings.Contains(w.told[1], `"event":"mesh_renamed","eventData":{"slug":"crew","name":"The Crew"}`) {
		t.Errorf("got told %q", w.told)
	}
}

// TestLesson224UnsignedOrdersAreForbidden is what clients of the TypeScript system send, and admins who are not the owner.
func TestLesson224UnsignedOrdersAreForbidden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Rename(t.Context(), w.caller, protocol.MeshRenameRequest{Slug: "crew"}); !mesh.IsCode(err, mesh.Forbidden) {
		t.Errorf("rename: got %v, want forbidden", err)
	}
	update := protocol.MemberUpdateRequest{Target: "ada", Role: "admin"}
	if _, err := w.UpdateMember(t.Context(), w.caller, update); !mesh.IsCode(err, mesh.Forbidden) {
		t.Errorf("role: got %v, want forbidden", err)
	}
	update.Operation = w.order(t, "mesh_rename", update.Signed())
	if _, err := w.UpdateMember(t.Context(), w.caller, update); !mesh.IsCode(err, mesh.Forbidden) {
		t.Errorf("role, signed for another operation: got %v, want forbidden", err)
	}
	w.Archive(t.Context(), w.caller, protocol.MeshArchiveRequest{Slug: "team"}, func(a protocol.MeshArchiveAnswer, err error) {
		if !mesh.IsCode(err, mesh.Forbidden) || a.Archived {
			t.Errorf("archive: got %+v, %v, want forbidden", a, err)
		}
	})
	if len(w.told) > 0 || w.closed != "" {
		t.Errorf("got told %q and closed %q, want nothing done", w.told, w.closed)
	}
}

func TestUpdateMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	update := func(target, role string) (protocol.MemberUpdateAnswer, error) {
		req := protocol.MemberUpdateRequest{Target: target, Role: role}
		req.Operation = w.order(t, "member_update", req.Signed())
		return w.UpdateMember(t.Context(), w.caller, req)
	}
	for _, tc := range []struct {
		target, role string
		code         mesh.Code
	}{
		{"ben", "admin", mesh.AmbiguousTarget}, {"nobody", "admin", mesh.NotFound}, {"", "admin", mesh.NotFound}, {string(w.ben.Key[:15]), "admin", mesh.NotFound},
		{string(w.ben.Key), "owner", mesh.BadRequest}, {"ada", "member", mesh.Forbidden},
	} {
		if _, err := update(tc.target, tc.role); !mesh.IsCode(err, tc.code) {
			t.Errorf("%q, %s: got %v, want %s", tc.target, tc.role, err, tc.code)
		}
	}
	for _, target := range []string{string(w.ben.Key), string(w.ben.ID), string(w.ben.Key[:16])} {
		got, err := update(target, "admin")
		if err != nil || got.MemberID != w.ben.ID || got.Role != "admin" {
			t.Errorf("%s: got %+v, %v, want ben an admin", target, got, err)
		}
	}
	if n := len(w.toldMember); n != 3 || !strings.HasPrefix(w.toldMember[0], string(w.ben.ID)) || !strings.Contains(w.toldMember[0], `"event":"profile_updated","eventData":{"permission":"admin"}`) {
		t.Errorf("got ben told %q, want it three times", w.toldMember)
	}
	err := w.DB.Read(t.Context(), func(tx *sqlite.Tx) error {
		for _, m := range []store.Member{w.ben, w.second} {
			got, err := store.FindMember(tx, m.ID)
			if err != nil || (got.Role == store.RoleAdmin) != (m.ID == w.ben.ID) {
				t.Errorf("%s is %s, %v, want the one that was named changed", m.ID, got.Role, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestArchive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	archive := func(slug string) (failed error) {
		req := protocol.MeshArchiveRequest{Slug: slug}
		req.Operation = w.order(t, "mesh_archive", req.Signed())
		w.Archive(t.Context(), w.caller, req, func(_ protocol.MeshArchiveAnswer, err error) {
			if err == nil && (len(w.told) > 0 || w.closed != "") {
				t.Error("the others were told before the owner")
			}
			failed = err
		})
		return failed
	}
	if err := archive("other"); !mesh.IsCode(err, mesh.BadRequest) || len(w.told) > 0 {
		t.Errorf("another name: got %v, want bad_request", err)
	}
	if err := archive("team"); err != nil {
		t.Fatal(err)
	}
	if len(w.told) != 1 || !strings.Contains(w.told[0], `"event":"mesh_archived"`) || !strings.Contains(w.told[0], `"host":"`+host) || w.closed != mesh.MeshArchived {
		t.Errorf("got told %q and closed %q", w.told, w.closed)
	}
	if err := archive("team"); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("again: got %v, want not_found", err)
	}
}
