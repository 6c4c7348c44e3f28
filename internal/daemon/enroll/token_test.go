package enroll

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// tokenOf is the token of an invite of version 1, signed by its owner after the edit.
func tokenOf(t testing.TB, owner seal.SecretKey, edit func(*seal.InviteToken)) string {
	t.Helper()
	token := seal.InviteToken{
		MeshID: "mesh1", MeshSlug: "one", BrokerURL: "wss://mesh.example/ws", ExpiresAt: noon.Add(time.Hour), RootKey: seal.NewSymmetricKey(), Role: "member",
	}
	if edit != nil {
		edit(&token)
	}
	signed, err := token.Sign(owner)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseTokenLinks(t *testing.T) {
	t.Parallel()
	owner := seal.NewSecretKey()
	text := tokenOf(t, owner, nil)
	want := Link{Base: "https://mesh.example", Token: text, Fingerprint: seal.OwnerFingerprint("mesh1", owner.Public())}
	for _, link := range []string{
		text, "ic://join/" + text, " <ic://join/" + text + "/> ", "https://site.example/join/" + text, "https://site.example/es/join/" + text,
	} {
		if got, err := ParseLink(link, ""); err != nil || got != want {
			t.Errorf("%.40s: got %+v, %v, want %+v", link, got, err, want)
		}
	}
	other, err := seal.ParseInviteToken(text)
	if err != nil {
		t.Fatal(err)
	}
	other.Role = "admin"
	forged, err := other.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		token string
		code  mesh.Code
	}{
		"forged role":       {forged, mesh.BadRequest},
		"cut":               {text[:len(text)-4], mesh.BadRequest},
		"no socket":         {tokenOf(t, owner, func(i *seal.InviteToken) { i.BrokerURL = "https://mesh.example/ws" }), mesh.BadRequest},
		"no host":           {tokenOf(t, owner, func(i *seal.InviteToken) { i.BrokerURL = "wss:///ws" }), mesh.BadRequest},
		"clear text":        {tokenOf(t, owner, func(i *seal.InviteToken) { i.BrokerURL = "ws://192.0.2.1/ws" }), mesh.InsecureURL},
		"a user in the URL": {tokenOf(t, owner, func(i *seal.InviteToken) { i.BrokerURL = "wss://u:p@mesh.example/ws" }), mesh.BadRequest},
	} {
		if got, err := ParseLink("ic://join/"+tc.token, ""); !mesh.IsCode(err, tc.code) || got != (Link{}) {
			t.Errorf("%s: got %+v, %v, want %s", name, got, err, tc.code)
		}
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(w http.ResponseWriter, _ request) {
		answerJSON(w, http.StatusOK, protocol.JoinAnswer{OK: true, MemberID: "member1"})
	})
	owner, member := seal.NewSecretKey(), seal.NewSecretKey()
	text := tokenOf(t, owner, func(i *seal.InviteToken) { i.BrokerURL, i.Role = b.socket(), "admin" })
	link, err := ParseLink("ic://join/"+text, "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := (&Client{Now: clock}).Redeem(t.Context(), link, "bob", member)
	if err != nil {
		t.Fatal(err)
	}
	m := got.Mesh
	if m.ID != "mesh1" || m.MemberID != "member1" || m.Slug != "one" || m.BrokerURL != b.socket() || m.InviteVersion != 1 || m.RootKey.IsZero() ||
		m.Secret.Reveal() != member.Reveal() || got.Role != "admin" || got.Unpinned || string(got.Owner) != owner.Public().String() {
		t.Errorf("got %+v", got)
	}
	var sent struct {
		Token   string         `json:"invite_token"`
		Payload map[string]any `json:"invite_payload"`
		Pubkey  string         `json:"peer_pubkey"`
		Name    string         `json:"display_name"`
	}
	if err := json.Unmarshal(b.requests()[0].body, &sent); err != nil {
		t.Fatal(err)
	}
	if path := b.requests()[0].path; path != "POST /join" || sent.Token != text || sent.Pubkey != member.Public().String() || sent.Name != "bob" ||
		sent.Payload["mesh_slug"] != "one" || sent.Payload["v"] != 1.0 || len(sent.Payload) != 9 {
		t.Errorf("got %s with %+v", path, sent)
	}
}

// TestShortLinkOfTheOtherSystem: its site has no claims, and tells the long link behind a code. A link that names its
// owner is never looked up there.
func TestShortLinkOfTheOtherSystem(t *testing.T) {
	t.Parallel()
	var b *broker
	owner := seal.NewSecretKey()
	b = newBroker(t, func(w http.ResponseWriter, r request) {
		switch r.path {
		case "GET /api/public/invite-code/abcdef23":
			answerJSON(w, http.StatusOK, map[string]any{"found": true, "token": tokenOf(t, owner, func(i *seal.InviteToken) { i.BrokerURL = b.socket() })})
		case "POST /join":
			answerJSON(w, http.StatusOK, protocol.JoinAnswer{OK: true, MemberID: "member1"})
		default:
			http.Error(w, "<html>", http.StatusNotFound)
		}
	})
	link := Link{Base: b.URL, Code: "abcdef23"}
	got, err := (&Client{Now: clock}).Redeem(t.Context(), link, "bob", seal.NewSecretKey())
	if err != nil || got.Mesh.Slug != "one" || got.Mesh.InviteVersion != 1 {
		t.Errorf("got %+v, %v, want the mesh joined by the long link", got.Mesh, err)
	}
	link.Fingerprint = testFP
	before := len(b.requests())
	if _, err := (&Client{Now: clock}).Redeem(t.Context(), link, "bob", seal.NewSecretKey()); !mesh.IsCode(err, mesh.BrokerRefused) || len(b.requests()) != before+1 {
		t.Errorf("with a fingerprint: got %v after %d requests, want broker_refused after one", err, len(b.requests())-before)
	}
	link = Link{Base: b.URL, Code: "unknwn23"}
	if _, err := (&Client{Now: clock}).Redeem(t.Context(), link, "bob", seal.NewSecretKey()); !mesh.IsCode(err, mesh.BrokerRefused) {
		t.Errorf("an unknown code: got %v, want broker_refused", err)
	}
}

func TestJoinIsRefused(t *testing.T) {
	t.Parallel()
	owner := seal.NewSecretKey()
	for name, tc := range map[string]struct {
		answer any
		status int
		code   mesh.Code
		says   string
	}{
		"by ours":              {protocol.JoinRefusal{Error: "invite_refused: it cannot be used", Code: mesh.InviteRefused}, 400, mesh.InviteRefused, "it cannot be used"},
		"by the other system":  {map[string]any{"ok": false, "error": "invite_exhausted"}, 400, mesh.InviteRefused, "invite_exhausted"},
		"without an id":        {protocol.JoinAnswer{OK: true}, 200, mesh.InviteUntrusted, "id"},
		"by an error inside":   {map[string]any{"ok": false, "error": "boom"}, 500, mesh.BrokerDown, "500"},
		"by what is no broker": {"hello", 404, mesh.BrokerRefused, "404"},
	} {
		b := newBroker(t, func(w http.ResponseWriter, _ request) { answerJSON(w, tc.status, tc.answer) })
		link, err := ParseLink(tokenOf(t, owner, func(i *seal.InviteToken) { i.BrokerURL = b.socket() }), "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = (&Client{Now: clock}).Redeem(t.Context(), link, "", seal.NewSecretKey())
		if !mesh.IsCode(err, tc.code) || !strings.Contains(err.Error(), tc.says) || strings.Count(err.Error(), "invite_refused") > 1 {
			t.Errorf("%s: got %v, want %s that says %q", name, err, tc.code, tc.says)
		}
	}
	b := newBroker(t, func(http.ResponseWriter, request) { t.Error("an invite that is over was sent to the broker") })
	link, err := ParseLink(tokenOf(t, owner, func(i *seal.InviteToken) { i.BrokerURL, i.ExpiresAt = b.socket(), noon }), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Client{Now: clock}).Redeem(t.Context(), link, "", seal.NewSecretKey()); !mesh.IsCode(err, mesh.InviteRefused) || !strings.Contains(err.Error(), "over since") {
		t.Errorf("over: got %v, want invite_refused that says since when", err)
	}
}

func TestNewLegacyInvite(t *testing.T) {
	t.Parallel()
	owner := seal.NewSecretKey()
	d := InviteDraft{
		Mesh:  membership.Mesh{ID: "mesh1", Slug: "one", BrokerURL: "wss://Mesh.Example/ws", RootKey: seal.NewSymmetricKey()},
		Owner: owner, ExpiresAt: noon.Add(time.Hour), MaxUses: 2, Role: "member",
	}
	inv, err := NewLegacyInvite(d, noon)
	if err != nil {
		t.Fatal(err)
	}
	hash := seal.CodeHash(inv.Link.Token)
	if r := inv.Request; r.Version != 1 || r.CodeHash != hex.EncodeToString(hash[:]) || r.BrokerURL != "wss://Mesh.Example/ws" || r.MaxUses != 2 || r.Role != "member" {
		t.Errorf("got %+v", inv.Request)
	}
	checkOperation(t, inv.Request.Operation, "invite_create", inv.Request.Signed(), owner)
	if link := inv.Link.String(); !strings.HasPrefix(link, "ic://join/") {
		t.Errorf("got link %s", link)
	}
	if again, err := ParseLink(inv.Link.String(), ""); err != nil || again != inv.Link || !again.Of("mesh1", mesh.Key(owner.Public().String())) {
		t.Errorf("got %+v, %v, want the link read back", again, err)
	}
	for name, change := range map[string]func(*InviteDraft){
		"self-signed":  func(d *InviteDraft) { d.Pin = testPin },
		"no root key":  func(d *InviteDraft) { d.Mesh.RootKey = seal.SymmetricKey{} },
		"no uses":      func(d *InviteDraft) { d.MaxUses = 0 },
		"unknown role": func(d *InviteDraft) { d.Role = "king" },
		"in the past":  func(d *InviteDraft) { d.ExpiresAt = noon },
	} {
		bad := d
		change(&bad)
		if _, err := NewLegacyInvite(bad, noon); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%s: got %v, want bad_request", name, err)
		}
	}
}
