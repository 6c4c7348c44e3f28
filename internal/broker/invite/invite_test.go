package invite

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// world is a broker's store with one mesh.
type world struct {
	*Invites
	now   time.Time
	owner seal.SecretKey
	admin *session.Session
	mesh  store.Mesh
	root  []byte
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{now: time.UnixMilli(1_700_000_000_000).UTC(), owner: seal.NewSecretKey(), root: []byte("0123456789abcdef0123456789abcdef")}
	clock := func() time.Time { return w.now }
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), clock, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var mu sync.Mutex
	seen := map[string]bool{}
	w.Invites = &Invites{DB: db, Now: clock, Owner: &authority.Authority{Now: clock, Once: func(parts ...string) bool {
		mu.Lock()
		defer mu.Unlock()
		last := parts[len(parts)-1]
		first := !seen[last]
		seen[last] = true
		return first
	}}}
	w.mesh = store.Mesh{ID: mesh.NewID(), Slug: "ours", Name: "Ours", OwnerKey: mesh.Key(w.owner.Public().String()), RootKey: seal.Base64URL(w.root)}
	founder := store.Member{ID: mesh.NewID(), Mesh: w.mesh.ID, Key: mesh.Key(seal.NewSecretKey().Public().String()), Name: "owner", Role: store.RoleAdmin}
	w.write(t, func(tx *sqlite.Tx) error {
		if err := store.AddMesh(tx, w.mesh); err != nil {
			return err
		}
		_, _, err := store.AddMember(tx, founder)
		return err
	})
	w.admin = &session.Session{
		Mesh: w.mesh.ID, OwnerKey: w.mesh.OwnerKey, Member: founder.ID, MemberKey: founder.Key, Admin: true, Hosts: []string{"localhost:7900", host},
	}
	return w
}

func (w *world) write(t *testing.T, fn func(*sqlite.Tx) error) {
	t.Helper()
	if err := w.DB.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// sign signs an operation as the owner does.
func (w *world) sign(t *testing.T, key seal.SecretKey, name string, args any) protocol.SignedOperation {
	t.Helper()
	text, err := wire.Encode(args)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := seal.ArgsHash(text)
	if err != nil {
		t.Fatal(err)
	}
	op := seal.Operation{Host: host, MeshID: string(w.mesh.ID), Name: name, Args: hash, Nonce: mesh.NewToken()[:32], At: w.now}
	signature, err := op.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return protocol.SignedOperation{Nonce: op.Nonce, AtMs: op.At.UnixMilli(), Key: mesh.Key(key.Public().String()), Signature: signature.String()}
}

// draft is an invite with a code, signed throughout.
func (w *world) draft(t *testing.T, code string, edit func(*protocol.InviteCreateRequest)) protocol.InviteCreateRequest {
	t.Helper()
	req := protocol.InviteCreateRequest{
		InviteID: mesh.NewID(), CodeHash: codeHash(code), ExpiresAt: w.now.Add(time.Hour).Unix(), MaxUses: 1, Role: store.RoleMember,
	}
	if edit != nil {
		edit(&req)
	}
	signed := seal.Capability{
		MeshID: string(w.mesh.ID), InviteID: string(req.InviteID), ExpiresAt: time.Unix(req.ExpiresAt, 0), Role: req.Role, Owner: w.owner.Public(),
	}
	if signature, err := signed.Sign(w.owner); err == nil { // else the text is ill formed, as a test wants it
		req.Signature = signature.String()
	}
	req.Operation = w.sign(t, w.owner, protocol.InviteCreate.Type, req.Signed())
	return req
}

func (w *world) invite(t *testing.T, code string, edit func(*protocol.InviteCreateRequest)) protocol.InviteCreateRequest {
	t.Helper()
	req := w.draft(t, code, edit)
	if _, err := w.Create(t.Context(), w.admin, req); err != nil {
		t.Fatal(err)
	}
	return req
}

func TestOnlyTheOwnersSignatureMakesInvites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := seal.NewSecretKey()
	used := w.invite(t, "usedusedused", nil)
	for name, edit := range map[string]func(*protocol.InviteCreateRequest){
		"unsigned":             func(r *protocol.InviteCreateRequest) { r.Operation = protocol.SignedOperation{} },
		"another key":          func(r *protocol.InviteCreateRequest) { r.Operation = w.sign(t, stranger, "invite_create", r.Signed()) },
		"another key's name":   func(r *protocol.InviteCreateRequest) { r.Operation.Key = mesh.Key(stranger.Public().String()) },
		"another operation":    func(r *protocol.InviteCreateRequest) { r.Operation = w.sign(t, w.owner, "invite_revoke", r.Signed()) },
		"other arguments":      func(r *protocol.InviteCreateRequest) { r.MaxUses = 1000 },
		"another nonce":        func(r *protocol.InviteCreateRequest) { r.Operation.Nonce = mesh.NewToken()[:32] },
		"no nonce":             func(r *protocol.InviteCreateRequest) { r.Operation.Nonce = "" },
		"another time":         func(r *protocol.InviteCreateRequest) { r.Operation.AtMs++ },
		"cut signature":        func(r *protocol.InviteCreateRequest) { r.Operation.Signature = r.Operation.Signature[:126] },
		"used before":          func(r *protocol.InviteCreateRequest) { *r = used },
		"capability of others": func(r *protocol.InviteCreateRequest) { r.Signature = used.Signature; w.resign(t, r) },
	} {
		req := w.draft(t, "freshfresh22", nil)
		edit(&req)
		if _, err := w.Create(t.Context(), w.admin, req); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("%s: got %v, want forbidden", name, err)
		}
	}
	old := w.draft(t, "freshfresh22", nil)
	w.now = w.now.Add(seal.Skew + time.Millisecond)
	if _, err := w.Create(t.Context(), w.admin, old); !mesh.IsCode(err, mesh.Forbidden) {
		t.Errorf("an old signature: got %v, want forbidden", err)
	}
	elsewhere := *w.admin
	elsewhere.Hosts = []string{"other.example:443"}
	if _, err := w.Create(t.Context(), &elsewhere, w.draft(t, "freshfresh22", nil)); !mesh.IsCode(err, mesh.Forbidden) {
		t.Errorf("signed for another broker: got %v, want forbidden", err)
	}
}

func (w *world) resign(t *testing.T, r *protocol.InviteCreateRequest) {
	r.Operation = w.sign(t, w.owner, protocol.InviteCreate.Type, r.Signed())
}

func TestUselessInvitesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, edit := range map[string]func(*protocol.InviteCreateRequest){
		"no uses":       func(r *protocol.InviteCreateRequest) { r.MaxUses = 0 },
		"many uses":     func(r *protocol.InviteCreateRequest) { r.MaxUses = 1001 },
		"ended":         func(r *protocol.InviteCreateRequest) { r.ExpiresAt = w.now.Unix() },
		"for ever":      func(r *protocol.InviteCreateRequest) { r.ExpiresAt = 1 << 52 },
		"far past":      func(r *protocol.InviteCreateRequest) { r.ExpiresAt = -1 << 52 },
		"odd id":        func(r *protocol.InviteCreateRequest) { r.InviteID = "../../etc/passwd" },
		"id with a bar": func(r *protocol.InviteCreateRequest) { r.InviteID = "0123456789abcdef0123456789abcde|" },
		"odd hash":      func(r *protocol.InviteCreateRequest) { r.CodeHash = "code" },
	} {
		if _, err := w.Create(t.Context(), w.admin, w.draft(t, "freshfresh22", edit)); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%s: got %v, want bad_request", name, err)
		}
	}
	odd := w.draft(t, "freshfresh22", func(r *protocol.InviteCreateRequest) { r.Role = "king" })
	if _, err := w.Create(t.Context(), w.admin, odd); err == nil {
		t.Error("an unknown role was accepted")
	}
	w.invite(t, "freshfresh22", nil)
	if _, err := w.Create(t.Context(), w.admin, w.draft(t, "freshfresh22", nil)); !mesh.IsCode(err, mesh.Reused) {
		t.Errorf("the same code again: got %v, want idempotency_key_reused", err)
	}
}

func TestListIsForAdmins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.invite(t, "firstfirst22", nil)
	w.now = w.now.Add(time.Second)
	second := w.invite(t, "secondsecond", func(r *protocol.InviteCreateRequest) { r.MaxUses, r.Role = 5, store.RoleAdmin })
	end := protocol.InviteRevokeRequest{InviteID: first.InviteID}
	end.Operation = w.sign(t, w.owner, protocol.InviteRevoke.Type, end.Signed())
	if _, err := w.Revoke(t.Context(), w.admin, end); err != nil {
		t.Fatal(err)
	}
	got, err := w.List(t.Context(), w.admin, protocol.InviteListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := protocol.InviteListAnswer{Invites: []protocol.Invite{
		{InviteID: second.InviteID, Role: "admin", ExpiresAt: second.ExpiresAt, MaxUses: 5, CreatedAt: "2023-11-14T22:13:21.000Z"},
		{InviteID: first.InviteID, Role: "member", ExpiresAt: first.ExpiresAt, MaxUses: 1, CreatedAt: "2023-11-14T22:13:20.000Z", Revoked: true},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	member := *w.admin
	w.write(t, func(tx *sqlite.Tx) error { return store.SetRole(tx, member.Member, store.RoleMember) })
	if _, err := w.List(t.Context(), &member, protocol.InviteListRequest{}); !mesh.IsCode(err, mesh.Forbidden) {
		t.Errorf("for a member: got %v, want forbidden", err)
	}
}

func TestRevokeIsSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.invite(t, "freshfresh22", nil)
	req := protocol.InviteRevokeRequest{InviteID: made.InviteID}
	if _, err := w.Revoke(t.Context(), w.admin, req); !mesh.IsCode(err, mesh.Forbidden) {
		t.Errorf("unsigned: got %v, want forbidden", err)
	}
	req.Operation = w.sign(t, w.owner, protocol.InviteRevoke.Type, req.Signed())
	elsewhere := *w.admin
	elsewhere.Mesh = "another"
	if _, err := w.Revoke(t.Context(), &elsewhere, req); !mesh.IsCode(err, mesh.Forbidden) {
		t.Errorf("in another mesh: got %v, want forbidden", err)
	}
	if _, err := w.Revoke(t.Context(), w.admin, req); err != nil {
		t.Error(err)
	}
	if _, err := w.claim(t, "freshfresh22", seal.NewSecretKey()); !mesh.IsCode(err, mesh.InviteRefused) {
		t.Errorf("claim of a revoked invite: got %v, want invite_refused", err)
	}
	gone := protocol.InviteRevokeRequest{InviteID: mesh.NewID()}
	gone.Operation = w.sign(t, w.owner, protocol.InviteRevoke.Type, gone.Signed())
	if _, err := w.Revoke(t.Context(), w.admin, gone); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("an unknown invite: got %v, want not_found", err)
	}
}
