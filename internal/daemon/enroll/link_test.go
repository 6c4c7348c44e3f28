package enroll

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

var (
	testFP  = strings.Repeat("A", 22)
	testPin = strings.Repeat("B", 42) + "A"
)

func TestParseLink(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text, broker string
		want         Link
	}{
		{"https://mesh.example/i/abcdef234567#" + testFP, "", Link{Base: "https://mesh.example", Code: "abcdef234567", Fingerprint: testFP}},
		{"https://mesh.example/i/abcdef234567#" + testFP + "." + testPin, "", Link{Base: "https://mesh.example", Code: "abcdef234567", Fingerprint: testFP, Pin: testPin}},
		{" <https://mesh.example:8443/team/i/abcdef234567/>\n", "", Link{Base: "https://mesh.example:8443/team", Code: "abcdef234567"}},
		{"http://127.0.0.1:7900/i/abcdef", "", Link{Base: "http://127.0.0.1:7900", Code: "abcdef"}},
		{"http://[::1]:7900/i/abcdef", "", Link{Base: "http://[::1]:7900", Code: "abcdef"}},
		{"abcdef234567", "wss://mesh.example/ws", Link{Base: "https://mesh.example", Code: "abcdef234567"}},
		{"abcdef234567#" + testFP, "ws://localhost:7900/team/ws", Link{Base: "http://localhost:7900/team", Code: "abcdef234567", Fingerprint: testFP}},
	} {
		got, err := ParseLink(tc.text, tc.broker)
		if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
			t.Errorf("%q: got %v, difference %s", tc.text, err, diff)
		}
		if again, err := ParseLink(got.String(), ""); err != nil || again != got {
			t.Errorf("%q: got %+v, %v from its own text, want the same", tc.text, again, err)
		}
	}
}

func TestThreat38ParseLinkRefuses(t *testing.T) {
	t.Parallel()
	base := "https://mesh.example/i/abcdef234567"
	for _, tc := range []struct {
		text, want string
		code       mesh.Code
	}{
		{"", "no invite link", mesh.BadRequest},
		{"ic://join/eyJ2IjoxfQ", "cut", mesh.BadRequest},
		{"https://mesh.example/join/eyJ2IjoxfQ", "cut", mesh.BadRequest},
		{"ic://join/", "cut", mesh.BadRequest},
		{strings.Repeat("e", 30), "cut", mesh.BadRequest},
		{"abcdef234567", "--broker", mesh.BadRequest},
		{"ftp://mesh.example/i/abcdef", "no invite link", mesh.BadRequest},
		{"wss://mesh.example/i/abcdef", "no invite link", mesh.BadRequest},
		{"https://mesh.example/abcdef", "/i/", mesh.BadRequest},
		{"https://mesh.example/i/abc", "cut", mesh.BadRequest},
		{"https://mesh.example/i/abc0ef", "cut", mesh.BadRequest},
		{"https://mesh.example/i/", "cut", mesh.BadRequest},
		{"https:///i/abcdef", "host", mesh.BadRequest},
		{base + "#", "after #", mesh.BadRequest},
		{base + "#" + testFP[1:], "after #", mesh.BadRequest},
		{base + "#" + testFP + ".", "pin", mesh.BadRequest},
		{base + "#" + testFP + "." + testPin[1:], "pin", mesh.BadRequest},
		{base + "#" + testFP + "." + testPin + ".x", "pin", mesh.BadRequest},
		{"https://u:p@mesh.example/i/abcdef", "user", mesh.BadRequest},
		{base + "?x=1", "query", mesh.BadRequest},
		{"http://10.0.0.1/i/abcdef", "TLS", mesh.InsecureURL},
		{"http://127.0.0.1/i/abcdef#" + testFP + "." + testPin, "TLS", mesh.BadRequest},
		{strings.Repeat("x", 1<<20), "bytes", mesh.BadRequest},
		{"https://mesh.example/i/abcdef#" + strings.Repeat("A", 1<<20), "bytes", mesh.BadRequest},
	} {
		got, err := ParseLink(tc.text, "")
		if !mesh.IsCode(err, tc.code) || !strings.Contains(err.Error(), tc.want) || len(err.Error()) > 200 {
			t.Errorf("%.60q: got %+v, %v, want %s that says %q", tc.text, got, err, tc.code, tc.want)
		}
	}
}

func TestLinkOf(t *testing.T) {
	t.Parallel()
	owner := seal.NewSecretKey().Public()
	l := Link{Fingerprint: seal.OwnerFingerprint("mesh1", owner)}
	key := mesh.Key(owner.String())
	if !l.Of("mesh1", key) || l.Of("mesh2", key) || l.Of("mesh1", mesh.Key(seal.NewSecretKey().Public().String())) || l.Of("mesh1", "") || (Link{}).Of("mesh1", key) {
		t.Error("got a link taken for another mesh, want it told by mesh and owner")
	}
}

func FuzzInviteLink(f *testing.F) {
	f.Add("https://mesh.example/i/abcdef234567#"+testFP+"."+testPin, "")
	f.Add("abcdef234567#"+testFP, "ws://127.0.0.1:7900/ws")
	f.Add("ic://join/eyJ2IjoxfQ", "")
	f.Add("https://site.example/es/join/"+tokenOf(f, seal.NewSecretKey(), nil), "")
	f.Add("https://a/i/abcdef/i/abcdef", "wss://[::1]/")
	f.Fuzz(func(t *testing.T, text, brokerURL string) {
		l, err := ParseLink(text, brokerURL)
		if err != nil {
			if l != (Link{}) || len(err.Error()) > 500 {
				t.Fatalf("got %+v beside %v, want nothing", l, err)
			}
			return
		}
		again, err := ParseLink(l.String(), "")
		if err != nil || again != l {
			t.Fatalf("got %+v, %v of %q, want %+v", again, err, l.String(), l)
		}
		if _, err := uplink.Host(l.Base); err != nil || !mesh.ValidInviteCode(l.Code) && l.Token == "" {
			t.Fatalf("got %+v, %v, want a host and a code", l, err)
		}
	})
}

func TestNewInvite(t *testing.T) {
	t.Parallel()
	owner := seal.NewSecretKey()
	d := InviteDraft{
		Mesh: membership.Mesh{ID: "mesh1", BrokerURL: "wss://Mesh.Example/ws"}, Owner: owner, Pin: testPin,
		ExpiresAt: noon.Add(time.Hour + time.Millisecond), MaxUses: 3, Role: "member",
	}
	inv, err := NewInvite(d, noon)
	if err != nil {
		t.Fatal(err)
	}
	req := inv.Request
	hash := seal.CodeHash(inv.Link.Code)
	if req.CodeHash != hex.EncodeToString(hash[:]) || req.MaxUses != 3 || req.Role != "member" || req.ExpiresAt != noon.Add(time.Hour).Unix() || len(req.InviteID) != 32 {
		t.Errorf("got %+v", req)
	}
	sig, err := seal.ParseSignature(req.Signature)
	if err != nil {
		t.Fatal(err)
	}
	capability := seal.Capability{MeshID: "mesh1", InviteID: string(req.InviteID), ExpiresAt: time.Unix(req.ExpiresAt, 0), Role: "member", Owner: owner.Public()}
	if err := capability.Verify(sig); err != nil {
		t.Errorf("got %v, want the owner's signature over the capability", err)
	}
	checkOperation(t, req.Operation, "invite_create", req.Signed(), owner)
	parsed, err := ParseLink(inv.Link.String(), "")
	if err != nil || parsed != inv.Link || !parsed.Of("mesh1", mesh.Key(owner.Public().String())) || parsed.Pin != testPin {
		t.Errorf("got %+v, %v, want the link read back", parsed, err)
	}
	frame, err := wire.Encode(req)
	if err != nil || strings.Contains(string(frame), inv.Link.Code) {
		t.Errorf("got %v, %s, want the code nowhere in the frame", err, frame)
	}

	revoke, err := RevokeInvite(d.Mesh, owner, req.InviteID, noon)
	if err != nil {
		t.Fatal(err)
	}
	checkOperation(t, revoke.Operation, "invite_revoke", revoke.Signed(), owner)
	if revoke.Operation.Nonce == req.Operation.Nonce {
		t.Error("got one nonce twice, want a new one for each operation")
	}
}

// checkOperation verifies as a broker would.
func checkOperation(t *testing.T, op protocol.SignedOperation, name string, args any, owner seal.SecretKey) {
	t.Helper()
	text, err := wire.Encode(args)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := seal.ArgsHash(text)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := seal.ParseSignature(op.Signature)
	if err != nil {
		t.Fatal(err)
	}
	o := seal.Operation{Host: "mesh.example:443", MeshID: "mesh1", Name: name, Args: hash, Nonce: op.Nonce, At: time.UnixMilli(op.AtMs)}
	if err := o.Verify(owner.Public(), sig, noon); err != nil || op.Key != mesh.Key(owner.Public().String()) {
		t.Errorf("%s: got %v, want the owner's signature over the frame", name, err)
	}
}

func TestNewInviteRefuses(t *testing.T) {
	t.Parallel()
	good := InviteDraft{
		Mesh: membership.Mesh{ID: "mesh1", BrokerURL: "wss://mesh.example/ws"}, Owner: seal.NewSecretKey(),
		ExpiresAt: noon.Add(time.Hour), MaxUses: 1, Role: "admin",
	}
	if _, err := NewInvite(good, noon); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*InviteDraft){
		"no uses":       func(d *InviteDraft) { d.MaxUses = 0 },
		"too many uses": func(d *InviteDraft) { d.MaxUses = 1001 },
		"in the past":   func(d *InviteDraft) { d.ExpiresAt = noon },
		"no role":       func(d *InviteDraft) { d.Role = "owner" },
		"no key":        func(d *InviteDraft) { d.Owner = seal.SecretKey{} },
		"bad broker":    func(d *InviteDraft) { d.Mesh.BrokerURL = "mesh.example" },
	} {
		d := good
		change(&d)
		if inv, err := NewInvite(d, noon); err == nil || inv.Link.Code != "" {
			t.Errorf("%s: got %+v, %v, want a refusal", name, inv.Link, err)
		}
	}
}
