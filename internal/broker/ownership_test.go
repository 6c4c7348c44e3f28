package broker

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// old is how a client of the first generation comes: it announces nothing.
func old(req *protocol.HelloRequest) { req.Capabilities = nil }

// token makes an invite of version 1 and returns its token.
func (m *team) token(t testing.TB, role string) string {
	t.Helper()
	token := must(seal.InviteToken{
		MeshID: string(m.id), MeshSlug: "team", BrokerURL: "wss://mesh.example/ws", ExpiresAt: m.site.now().Add(time.Hour),
		RootKey: must(seal.SymmetricKeyOf(make([]byte, 32))), Role: role,
	}.Sign(m.owner))
	text := must(token.Encode())
	hash := seal.CodeHash(text)
	req := protocol.InviteCreateRequest{
		InviteID: mesh.NewID(), Version: 1, CodeHash: hex.EncodeToString(hash[:]), ExpiresAt: token.ExpiresAt.Unix(), MaxUses: 1, Role: role,
		Signature: token.Signature.String(), BrokerURL: token.BrokerURL,
	}
	req.Operation = m.sign(m.owner, "invite_create", req.Signed())
	c := m.enter(t, m.first, nil)
	defer c.leave(t)
	if got := c.ask(t, must(protocol.InviteCreate.Encode("r", req))); !strings.Contains(got, `"invite_created"`) {
		t.Fatalf("got %s, want invite_created", got)
	}
	return text
}

// Who joined is let in with the key that it joined with, by either kind of link. In the system before, a claim bound
// another key, and the hello behind it could never succeed.
func TestLesson2311WhoJoinedIsLetIn(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	m.enter(t, bob, nil)
	carol := person{name: "carol", key: keyOf("carol")}
	token := m.token(t, "member")
	var joined protocol.JoinAnswer
	s.post(t, protocol.PathJoin, map[string]any{
		"invite_token": token, "invite_payload": map[string]any{"v": 1}, "peer_pubkey": carol.pub(), "display_name": "carol",
	}, &joined, http.StatusOK)
	carol.id = joined.MemberID
	m.enter(t, carol, old)

	var refused protocol.JoinRefusal
	s.post(t, protocol.PathJoin, protocol.JoinRequest{InviteToken: token, PeerPubkey: keyOf("dave").Public().String()}, &refused, http.StatusBadRequest)
	if refused.OK || refused.Code != mesh.InviteRefused || !strings.HasPrefix(refused.Error, "invite_refused: ") {
		t.Errorf("used up: got %+v", refused)
	}
}

// The role of who joins is the owner's word in the invite, never that of the request or of a changed link.
func TestLesson222RolesAreSigned(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	code := m.invite(t, 1)
	claim := claimOf(s, code, keyOf("bob"), "bob")
	var got protocol.ClaimAnswer
	s.post(t, "/invites/"+code+"/claim", map[string]any{
		"recipient_x25519_pubkey": claim.RecipientX25519, "peer_pubkey": claim.PeerPubkey, "display_name": "bob", "proof": claim.Proof,
		"role": "admin", "permission": "admin",
	}, &got, http.StatusOK)
	if got.Role != "member" {
		t.Errorf("got role %s, want that of the invite", got.Role)
	}
	parsed := must(seal.ParseInviteToken(m.token(t, "member")))
	parsed.Role = "admin"
	var refused protocol.JoinRefusal
	s.post(t, protocol.PathJoin, protocol.JoinRequest{InviteToken: must(parsed.Encode()), PeerPubkey: keyOf("carol").Public().String()}, &refused, http.StatusBadRequest)
	if refused.Code != mesh.InviteRefused {
		t.Errorf("got %+v, want a changed token refused", refused)
	}
}

// No page and no route gives away what a link leads to: the root key comes sealed to who proves a key.
func TestLesson2213NobodyDownloadsTheRootKey(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	code, token := m.invite(t, 1), m.token(t, "member")
	root := must(seal.ParseInviteToken(token)).RootKey.Reveal()
	for _, path := range []string{
		"/i/" + code, "/join/" + token, "/api/public/invite-code/" + code, "/api/public/invite/" + token, "/invites/" + code + "/claim", protocol.PathJoin, "/v1/meshes",
	} {
		if status, body := s.do(t, s.request(t, http.MethodGet, path, nil)); strings.Contains(body, root) || strings.Contains(body, string(m.id)) {
			t.Errorf("GET %.40s: got %d with the mesh in it", path, status)
		}
	}
	if bob := m.join(t, code, "bob"); bob.id == "" {
		t.Error("looking used the invite up")
	}
}

// What the owner changes is told to clients of ours alone; others are not disturbed by an event that they do not know.
func TestOwnersChangesAreTold(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob, carol := m.join(t, m.invite(t, 1), "bob"), m.join(t, m.invite(t, 1), "carol")
	ours, theirs := m.enter(t, bob, nil), m.enter(t, carol, old)
	owner := m.enter(t, m.first, nil)

	// As clients of the TypeScript system ask, and as an admin would who is not the owner.
	if got := theirs.ask(t, []byte(`{"type":"mesh_rename","slug":"crew","_reqId":"r"}`)); !strings.Contains(got, `"code":"forbidden"`) {
		t.Errorf("unsigned: got %s, want forbidden under its _reqId", got)
	}
	rename := protocol.MeshRenameRequest{Slug: "crew"}
	rename.Operation = m.sign(m.first.key, "mesh_rename", rename.Signed())
	if got := owner.ask(t, must(protocol.MeshRename.Encode("r", rename))); !strings.Contains(got, `"code":"forbidden"`) {
		t.Errorf("signed by the member's key: got %s, want forbidden", got)
	}
	rename.Operation = m.sign(m.owner, "mesh_rename", rename.Signed())
	if got := owner.ask(t, must(protocol.MeshRename.Encode("r", rename))); !strings.Contains(got, `"slug":"crew"`) {
		t.Errorf("got %s, want it renamed", got)
	}
	for {
		if got := ours.next(t); strings.Contains(got, `"event":"mesh_renamed"`) {
			break
		}
	}
	end := protocol.MeshArchiveRequest{Slug: "crew"}
	end.Operation = m.sign(m.owner, "mesh_archive", end.Signed())
	owner.send(t, must(protocol.MeshArchive.Encode("r", end)))
	for _, c := range []*client{ours, theirs, owner} {
		c.wantClose(t, websocket.StatusPolicyViolation, "mesh_archived")
	}
	for drained := false; !drained; {
		select {
		case got := <-theirs.frames:
			if strings.Contains(got, "mesh_renamed") || strings.Contains(got, "mesh_archived") {
				t.Errorf("an old client got %s", got)
			}
		default:
			drained = true
		}
	}
	later := s.connect(t)
	later.send(t, m.hello(bob, nil))
	later.wantError(t, "mesh_archived")
	later = s.connect(t)
	later.send(t, m.hello(carol, old))
	later.wantError(t, "unauthorized")
	later = s.connect(t)
	later.send(t, m.hello(person{name: "eve", id: "x", key: keyOf("eve")}, nil))
	later.wantError(t, "unauthorized")
}

// Where others reach a broker that made its certificate itself, its members learn with its pin.
func TestPlaceOfABroker(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, public string
		self         bool
		want         string
	}{
		{"of this machine", "", false, `{"type":"broker_place_result","_reqId":"r"}`},
		{"of this machine by TLS", "", true, `{"type":"broker_place_result","_reqId":"r"}`},
		{"behind a proxy", "https://mesh.example/base/", false, `{"type":"broker_place_result","_reqId":"r","url":"https://mesh.example/base"}`},
		{"with a pin", "https://mesh.example", true, `"url":"https://mesh.example","pin":"`},
	} {
		s := openSite(t, func(o *Options) { o.Settings.PublicURL, o.Settings.SelfSigned = tc.public, tc.self })
		m := s.found(t)
		got := m.enter(t, m.first, nil).ask(t, []byte(`{"type":"broker_place","_reqId":"r"}`))
		if !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
		if _, pin, pinned := strings.Cut(got, `"pin":"`); pinned && strings.TrimSuffix(pin, `"}`) != shown(t, s.dial) {
			t.Errorf("%s: got %s, want the pin of the certificate that is shown", tc.name, got)
		}
	}
}
