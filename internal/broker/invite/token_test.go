package invite

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// legacy is a signed invite of version 1 with its token. Edit changes the frame before the operation is signed.
func (w *world) legacy(t *testing.T, uses int, edit func(*protocol.InviteCreateRequest)) (string, protocol.InviteCreateRequest) {
	t.Helper()
	root, err := seal.SymmetricKeyOf(w.root)
	if err != nil {
		t.Fatal(err)
	}
	token, err := seal.InviteToken{
		MeshID: string(w.mesh.ID), MeshSlug: w.mesh.Slug, BrokerURL: "wss://mesh.example/ws", ExpiresAt: w.now.Add(time.Hour), RootKey: root, Role: store.RoleMember,
	}.Sign(w.owner)
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.Encode()
	if err != nil {
		t.Fatal(err)
	}
	hash := seal.CodeHash(text)
	req := protocol.InviteCreateRequest{
		InviteID: mesh.NewID(), Version: 1, CodeHash: hex.EncodeToString(hash[:]), ExpiresAt: token.ExpiresAt.Unix(), MaxUses: uses, Role: token.Role,
		Signature: token.Signature.String(), BrokerURL: token.BrokerURL,
	}
	if edit != nil {
		edit(&req)
	}
	w.resign(t, &req)
	return text, req
}

func join(token string, peer seal.SecretKey) protocol.JoinRequest {
	return protocol.JoinRequest{InviteToken: token, PeerPubkey: peer.Public().String(), DisplayName: "box-1234"}
}

func TestTokenMakesAMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, req := w.legacy(t, 1, nil)
	if _, err := w.Create(t.Context(), w.admin, req); err != nil {
		t.Fatal(err)
	}
	peer := seal.NewSecretKey()
	first, err := w.Join(t.Context(), join(token, peer))
	if err != nil || !first.OK || first.AlreadyMember {
		t.Fatalf("got %+v, %v, want a new member", first, err)
	}
	again, err := w.Join(t.Context(), join(token, peer))
	if err != nil || again.MemberID != first.MemberID || !again.AlreadyMember {
		t.Errorf("again: got %+v, %v, want the same member", again, err)
	}
	if _, err := w.Join(t.Context(), join(token, seal.NewSecretKey())); !mesh.IsCode(err, mesh.InviteRefused) {
		t.Errorf("used up: got %v, want invite_refused", err)
	}
	got, err := w.List(t.Context(), w.admin, protocol.InviteListRequest{})
	if err != nil || len(got.Invites) != 1 || got.Invites[0].Version != 1 || got.Invites[0].Used != 1 {
		t.Errorf("got %+v, %v, want one invite of version 1, used once", got, err)
	}
}

// TestVersionsDoNotMix: a code is no token, though both are looked up by their hash, and the proof that a claim needs is
// not got around by POST /join.
func TestVersionsDoNotMix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite(t, "freshfresh22", nil)
	if _, err := w.Join(t.Context(), join("freshfresh22", seal.NewSecretKey())); !mesh.IsCode(err, mesh.InviteRefused) {
		t.Errorf("a code as token: got %v, want invite_refused", err)
	}
	if n := w.uses(t, "freshfresh22"); n != 0 {
		t.Errorf("got %d uses, want none", n)
	}
}

func TestUselessTokensAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	capability := w.draft(t, "freshfresh22", nil)
	for name, tc := range map[string]struct {
		edit func(*protocol.InviteCreateRequest)
		want mesh.Code
	}{
		"another role":      {func(r *protocol.InviteCreateRequest) { r.Role = store.RoleAdmin }, mesh.Forbidden},
		"another end":       {func(r *protocol.InviteCreateRequest) { r.ExpiresAt++ }, mesh.Forbidden},
		"another signature": {func(r *protocol.InviteCreateRequest) { r.Signature = capability.Signature }, mesh.Forbidden},
		"another token":     {func(r *protocol.InviteCreateRequest) { r.CodeHash = capability.CodeHash }, mesh.BadRequest},
		"no socket":         {func(r *protocol.InviteCreateRequest) { r.BrokerURL = "wss://mesh.example" }, mesh.BadRequest},
		"another version":   {func(r *protocol.InviteCreateRequest) { r.Version = 3 }, mesh.BadRequest},
		"as version 2":      {func(r *protocol.InviteCreateRequest) { r.Version = 2 }, mesh.Forbidden},
	} {
		_, req := w.legacy(t, 1, tc.edit)
		if _, err := w.Create(t.Context(), w.admin, req); !mesh.IsCode(err, tc.want) {
			t.Errorf("%s: got %v, want %s", name, err, tc.want)
		}
	}
	w.SelfSigned = true
	_, req := w.legacy(t, 1, nil)
	if _, err := w.Create(t.Context(), w.admin, req); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("at a self-signed broker: got %v, want bad_request", err)
	}
}

func TestJoinChecksTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, req := w.legacy(t, 1, nil)
	if _, err := w.Create(t.Context(), w.admin, req); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key  string
		want mesh.Code
	}{
		"none": {"", mesh.Malformed}, "base64": {seal.NewX25519Secret().Public().String(), mesh.Malformed},
		"weak": {"01" + strings.Repeat("0", 62), mesh.WeakKey},
	} {
		if _, err := w.Join(t.Context(), protocol.JoinRequest{InviteToken: token, PeerPubkey: tc.key}); !mesh.IsCode(err, tc.want) {
			t.Errorf("%s: got %v, want %s", name, err, tc.want)
		}
	}
	odd := join(token, seal.NewSecretKey())
	odd.DisplayName = "\x1b[2Jadmin"
	got, err := w.Join(t.Context(), odd)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, func(tx *sqlite.Tx) error {
		m, err := store.FindMember(tx, got.MemberID)
		if err == nil && mesh.CheckName(m.Name) != nil {
			t.Errorf("got the name %q, want one that deceives nobody", m.Name)
		}
		return err
	})
}

// TestWrongOwnerUsesNothingUp: a joiner that would refuse the answer is refused first.
func TestWrongOwnerUsesNothingUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const code = "freshfresh22"
	w.invite(t, code, nil)
	peer := seal.NewSecretKey()
	req, _ := request(t, code, peer)
	req.OwnerPrint = seal.OwnerFingerprint(string(w.mesh.ID), peer.Public())
	if _, err := w.Claim(t.Context(), visit, code, req); !mesh.IsCode(err, mesh.InviteUntrusted) {
		t.Errorf("another owner: got %v, want invite_untrusted", err)
	}
	if n := w.uses(t, code); n != 0 {
		t.Errorf("got %d uses, want none", n)
	}
	req.OwnerPrint = seal.OwnerFingerprint(string(w.mesh.ID), w.owner.Public())
	if _, err := w.Claim(t.Context(), visit, code, req); err != nil {
		t.Errorf("the right owner: %v", err)
	}
}
