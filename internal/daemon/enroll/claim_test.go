package enroll

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// grant is an invite as its owner made it.
type grant struct {
	owner seal.SecretKey
	root  seal.SymmetricKey
	code  string
}

func newGrant() grant {
	return grant{owner: seal.NewSecretKey(), root: seal.NewSymmetricKey(), code: mesh.NewInviteCode()}
}

// answer is what an honest broker says to a claim.
func (g grant) answer(t *testing.T, b *broker, req protocol.ClaimRequest) protocol.ClaimAnswer {
	t.Helper()
	recipient, err := seal.ParseX25519Public(req.RecipientX25519)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.SealAnonymous(recipient, g.root.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	a := protocol.ClaimAnswer{
		SealedRootKey: seal.Base64URL(sealed), MeshID: "mesh1", MemberID: "member1", OwnerPubkey: g.owner.Public().String(),
		InviteID: "invite1", Role: "member", ExpiresAt: noon.Add(time.Hour).Unix(), MeshSlug: "one", MeshName: "One", BrokerURL: b.socket(),
	}
	g.sign(t, &a)
	return a
}

// sign makes canonical text and signature fit the fields.
func (g grant) sign(t *testing.T, a *protocol.ClaimAnswer) {
	t.Helper()
	capability := seal.Capability{
		MeshID: string(a.MeshID), InviteID: string(a.InviteID), ExpiresAt: time.Unix(a.ExpiresAt, 0), Role: a.Role, Owner: g.owner.Public(),
	}
	text, err := capability.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := capability.Sign(g.owner)
	if err != nil {
		t.Fatal(err)
	}
	a.CanonicalV2, a.CapabilitySignature = text, sig.String()
}

func (g grant) link(b *broker) Link {
	return Link{Base: b.URL, Code: g.code, Fingerprint: seal.OwnerFingerprint("mesh1", g.owner.Public())}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	for _, pinned := range []bool{true, false} {
		g := newGrant()
		var b *broker
		b = newBroker(t, func(w http.ResponseWriter, r request) {
			answerJSON(w, http.StatusOK, g.answer(t, b, decode[protocol.ClaimRequest](t, r.body)))
		})
		member, link := seal.NewSecretKey(), g.link(b)
		if !pinned {
			link.Fingerprint = ""
		}
		got, err := (&Client{Now: clock}).Claim(t.Context(), link, "bob@host", member)
		if err != nil {
			t.Fatal(err)
		}
		if got.Mesh.ID != "mesh1" || got.Mesh.MemberID != "member1" || got.Mesh.Slug != "one" || got.Mesh.Name != "One" || got.Mesh.BrokerURL != b.socket() ||
			got.Mesh.RootKey.Reveal() != g.root.Reveal() || got.Mesh.Secret.Reveal() != member.Reveal() || got.Mesh.InviteVersion != 2 {
			t.Errorf("got mesh %+v", got.Mesh)
		}
		if got.Role != "member" || got.InviteID != "invite1" || string(got.Owner) != g.owner.Public().String() || got.Unpinned == pinned ||
			got.Fingerprint != g.link(b).Fingerprint {
			t.Errorf("got %+v", got)
		}
		checkClaim(t, b, g, member)
	}
}

// checkClaim verifies the request as a broker would.
func checkClaim(t *testing.T, b *broker, g grant, member seal.SecretKey) {
	t.Helper()
	sent := b.requests()[0]
	if sent.path != "POST /invites/"+g.code+"/claim" || sent.auth != "" {
		t.Errorf("got request %s, %q", sent.path, sent.auth)
	}
	req := decode[protocol.ClaimRequest](t, sent.body)
	recipient, err := seal.ParseX25519Public(req.RecipientX25519)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := seal.ParseSignature(req.Proof)
	if err != nil {
		t.Fatal(err)
	}
	text := seal.Claim{Host: b.host(t), CodeHash: seal.CodeHash(g.code), Recipient: recipient, Peer: member.Public()}
	if err := text.Verify(sig); err != nil || req.PeerPubkey != member.Public().String() || req.DisplayName != "bob@host" {
		t.Errorf("got %v for %+v, want a proof by the new member for this broker and code", err, req)
	}
}

// TestClaimBelievesNothing changes the answer of an honest broker in one place at a time.
func TestClaimBelievesNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, g grant, a *protocol.ClaimAnswer){
		"other owner": func(t *testing.T, _ grant, a *protocol.ClaimAnswer) {
			other := newGrant()
			a.OwnerPubkey = other.owner.Public().String()
			other.sign(t, a)
		},
		"other mesh":    func(t *testing.T, g grant, a *protocol.ClaimAnswer) { a.MeshID = "mesh2"; g.sign(t, a) },
		"unsigned role": func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.Role = "admin" },
		"role in the text": func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) {
			a.Role = "admin"
			a.CanonicalV2 = strings.Replace(a.CanonicalV2, "|member|", "|admin|", 1)
		},
		"unknown role": func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.Role = "king" },
		"longer life":  func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.ExpiresAt += 3600 },
		"over":         func(t *testing.T, g grant, a *protocol.ClaimAnswer) { a.ExpiresAt = noon.Unix(); g.sign(t, a) },
		"other invite": func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.InviteID = "invite2" },
		"other text":   func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.CanonicalV2 += " " },
		"no signature": func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.CapabilitySignature = "" },
		"one bit": func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) {
			a.CapabilitySignature = map[bool]string{true: "1", false: "0"}[a.CapabilitySignature[0] == '0'] + a.CapabilitySignature[1:]
		},
		"weak owner":       func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.OwnerPubkey = "01" + strings.Repeat("0", 62) },
		"upper-case owner": func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.OwnerPubkey = strings.ToUpper(a.OwnerPubkey) },
		"evil mesh id":     func(t *testing.T, g grant, a *protocol.ClaimAnswer) { a.MeshID = "../../x"; g.sign(t, a) },
		"evil member id":   func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.MemberID = "a|b" },
		"no member id":     func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.MemberID = "" },
		"foreign root key": func(t *testing.T, _ grant, a *protocol.ClaimAnswer) {
			sealed, err := seal.SealAnonymous(seal.NewX25519Secret().Public(), make([]byte, 32))
			if err != nil {
				t.Fatal(err)
			}
			a.SealedRootKey = seal.Base64URL(sealed)
		},
		"no root key":   func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.SealedRootKey = "" },
		"no socket":     func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.BrokerURL = "http://127.0.0.1:1/ws" },
		"socket's user": func(_ *testing.T, _ grant, a *protocol.ClaimAnswer) { a.BrokerURL = "ws://u:p@127.0.0.1:1/ws" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrant()
			var b *broker
			b = newBroker(t, func(w http.ResponseWriter, r request) {
				a := g.answer(t, b, decode[protocol.ClaimRequest](t, r.body))
				change(t, g, &a)
				answerJSON(w, http.StatusOK, a)
			})
			got, err := (&Client{Now: clock}).Claim(t.Context(), g.link(b), "", seal.NewSecretKey())
			if !mesh.IsCode(err, mesh.InviteUntrusted) || got.Mesh.ID != "" {
				t.Errorf("got %s, %v, want invite_untrusted and nothing else", got.Mesh.ID, err)
			}
		})
	}
}

func TestClaimRefused(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(w http.ResponseWriter, _ request) {
		answerJSON(w, http.StatusNotFound, protocol.HTTPError{Error: "no such invite", Code: mesh.InviteRefused})
	})
	if _, err := (&Client{Now: clock}).Claim(t.Context(), newGrant().link(b), "", seal.NewSecretKey()); !mesh.IsCode(err, mesh.InviteRefused) {
		t.Errorf("got %v, want invite_refused", err)
	}
	if n := len(b.requests()); n != 1 {
		t.Errorf("got %d requests, want 1", n)
	}
}

// TestClaimAgain loses the first answer: the second try is the same claim, so that it uses nothing up.
func TestClaimAgain(t *testing.T) {
	t.Parallel()
	g := newGrant()
	var b *broker
	b = newBroker(t, func(w http.ResponseWriter, r request) {
		if len(b.requests()) == 1 {
			panic(http.ErrAbortHandler)
		}
		answerJSON(w, http.StatusOK, g.answer(t, b, decode[protocol.ClaimRequest](t, r.body)))
	})
	if _, err := (&Client{Now: clock}).Claim(t.Context(), g.link(b), "", seal.NewSecretKey()); err != nil {
		t.Fatal(err)
	}
	if sent := b.requests(); len(sent) != 2 || string(sent[0].body) != string(sent[1].body) {
		t.Errorf("got %d requests, want the same one twice", len(sent))
	}
}

func TestBrokerOfTheAnswer(t *testing.T) {
	t.Parallel()
	pin := strings.Repeat("A", 43)
	for _, tc := range []struct {
		link       Link
		told, want string
		code       mesh.Code
	}{
		{Link{Base: "http://127.0.0.1:7900"}, "", "ws://127.0.0.1:7900/ws", ""},
		{Link{Base: "https://mesh.example/x"}, "", "wss://mesh.example/x/ws", ""},
		{Link{Base: "https://mesh.example"}, "wss://ws.example/ws", "wss://ws.example/ws", ""},
		{Link{Base: "http://127.0.0.1:7900"}, "wss://mesh.example/ws", "wss://mesh.example/ws", ""},
		{Link{Base: "https://mesh.example"}, "ws://mesh.example/ws", "", mesh.InviteUntrusted},
		{Link{Base: "https://mesh.example"}, "ws://127.0.0.1:7900/ws", "", mesh.InviteUntrusted},
		{Link{Base: "http://127.0.0.1:7900"}, "ws://10.0.0.1:7900/ws", "", mesh.InsecureURL},
		{Link{Base: "https://mesh.example", Pin: pin}, "wss://other.example/ws", "", mesh.InviteUntrusted},
		{Link{Base: "https://mesh.example", Pin: pin}, "wss://MESH.example:443/ws", "wss://MESH.example:443/ws", ""},
	} {
		got, err := checkBroker(tc.link, tc.told)
		if mesh.CodeOf(err) != tc.code || err == nil && got != tc.want {
			t.Errorf("%s, %q: got %q, %v, want %q %s", tc.link.Base, tc.told, got, err, tc.want, tc.code)
		}
	}
}
