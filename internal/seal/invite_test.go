package seal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

type inviteInputs struct {
	signed
	Fields struct {
		Version   int    `json:"v"`
		MeshID    string `json:"mesh_id"`
		MeshSlug  string `json:"mesh_slug"`
		BrokerURL string `json:"broker_url"`
		InviteID  string `json:"invite_id"`
		ExpiresAt int64  `json:"expires_at"`
		RootKey   string `json:"mesh_root_key"`
		Role      string `json:"role"`
		Owner     string `json:"owner_pubkey"`
	} `json:"fields"`
}

type inviteExpected struct {
	verdict
	Payload    string `json:"payload_json"`
	Token      string `json:"token_b64url"`
	Link       string `json:"link"`
	Capability string `json:"capability_v2_json"`
}

func testInviteSignature(t *testing.T, section jsontext.Value) {
	eachVector(t, section, func(t *testing.T, c vector[inviteInputs, inviteExpected]) {
		switch {
		case !c.Expected.Verifies:
			testForgedInvite(t, c)
		case c.Inputs.Fields.Version == 1:
			testInviteV1(t, c)
		default:
			testInviteV2(t, c)
		}
	})
}

func testInviteV1(t *testing.T, c vector[inviteInputs, inviteExpected]) {
	in := c.Inputs.Fields
	token := InviteToken{
		MeshID: in.MeshID, MeshSlug: in.MeshSlug, BrokerURL: in.BrokerURL, ExpiresAt: time.Unix(in.ExpiresAt, 0),
		RootKey: must(ParseSymmetricKey(in.RootKey))(t), Role: in.Role,
	}
	token = must(token.Sign(testKeys(t)[c.Inputs.Signer]))(t)
	c.Inputs.checkText(t, must(token.text())(t))
	if token.Owner.String() != in.Owner || token.Signature.String() != c.Expected.Signature {
		t.Errorf("signature: got %s, want %s", token.Signature, c.Expected.Signature)
	}
	encoded := must(token.Encode())(t)
	if encoded != c.Expected.Token || "ic://join/"+encoded != c.Expected.Link {
		t.Errorf("token: got %s, want %s", encoded, c.Expected.Token)
	}
	if payload := string(must(ParseBase64URL(encoded))(t)); payload != c.Expected.Payload {
		t.Errorf("payload: got %s, want %s", payload, c.Expected.Payload)
	}
	parsed := must(ParseInviteToken(c.Expected.Token))(t)
	if err := parsed.Verify(); err != nil {
		t.Errorf("verify: got %v, want none", err)
	}
	if got := must(parsed.Encode())(t); got != encoded {
		t.Errorf("parsed and encoded: got %s, want %s", got, encoded)
	}
}

func testInviteV2(t *testing.T, c vector[inviteInputs, inviteExpected]) {
	in := c.Inputs.Fields
	capability := Capability{
		MeshID: in.MeshID, InviteID: in.InviteID, ExpiresAt: time.Unix(in.ExpiresAt, 0), Role: in.Role, Owner: publicKey(t, in.Owner),
	}
	text := must(capability.Canonical())(t)
	c.Inputs.checkText(t, []byte(text))
	sig := must(capability.Sign(testKeys(t)[c.Inputs.Signer]))(t)
	var stored struct{ Canonical, Signature string }
	if err := json.Unmarshal([]byte(c.Expected.Capability), &stored, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{stored.Canonical, stored.Signature, c.Expected.Signature}, []string{text, sig.String(), sig.String()}); diff != "" {
		t.Errorf("capability: want -, got +\n%s", diff)
	}
	if err := capability.Verify(sig); err != nil {
		t.Errorf("verify: got %v, want none", err)
	}
}

func testForgedInvite(t *testing.T, c vector[inviteInputs, inviteExpected]) {
	f := c.Inputs.fields()
	token := InviteToken{
		MeshID: f[1], MeshSlug: f[2], BrokerURL: f[3], ExpiresAt: time.Unix(1893456000, 0),
		RootKey: must(ParseSymmetricKey(f[5]))(t), Role: f[6], Owner: publicKey(t, c.Inputs.SignerKey),
		Signature: c.Inputs.signature(t, c.Expected.verdict),
	}
	c.Inputs.checkText(t, must(token.text())(t))
	if err := token.Verify(); !errors.Is(err, ErrSignature) {
		t.Errorf("verify: got %v, want %v", err, ErrSignature)
	}
}

func testToken(t testing.TB) InviteToken {
	t.Helper()
	token := InviteToken{
		MeshID: "msh_1", MeshSlug: "<a&b>", BrokerURL: "wss://broker.example.test/ws", ExpiresAt: time.Unix(1893456000, 0),
		RootKey: symmetricKey([32]byte{1}), Role: "member",
	}
	return must(token.Sign(seedKey(t, "4698a1064b59bb180f4b752152249829f5a916bfe7ab86ccd24d41099c347a3f")))(t)
}

func TestInviteTokenIsNotEscaped(t *testing.T) {
	t.Parallel()
	payload := string(must(ParseBase64URL(must(testToken(t).Encode())(t)))(t))
	if !strings.Contains(payload, `"mesh_slug":"<a&b>"`) {
		t.Errorf("payload: got %s, want the slug as it is", payload)
	}
}

func TestParseInviteTokenRefuses(t *testing.T) {
	t.Parallel()
	good := must(testToken(t).Encode())(t)
	payload := string(must(ParseBase64URL(good))(t))
	replaced := func(old, new string) string {
		if !strings.Contains(payload, old) {
			t.Fatalf("the payload has no %s", old)
		}
		return Base64URL([]byte(strings.Replace(payload, old, new, 1)))
	}
	for name, token := range map[string]string{
		"nothing":           "",
		"padding":           good + "=",
		"line break":        good + "\n",
		"no JSON":           Base64URL([]byte("x")),
		"trailing data":     Base64URL([]byte(payload + "{}")),
		"too long":          Base64URL([]byte(payload + strings.Repeat(" ", maxTokenBytes))),
		"version 2":         replaced(`"v":1`, `"v":2`),
		"version text":      replaced(`"v":1`, `"v":"1"`),
		"no version":        replaced(`"v":1,`, ``),
		"no mesh":           replaced(`"msh_1"`, `""`),
		"no slug":           replaced(`"mesh_slug":"<a&b>",`, ``),
		"other role":        replaced(`"role":"member"`, `"role":"owner"`),
		"wrong case":        replaced(`"role"`, `"Role"`),
		"two roles":         replaced(`"role":"member"`, `"role":"member","role":"admin"`),
		"separator":         replaced(`<a&b>`, `a|b`),
		"fractional end":    replaced(`1893456000`, `1893456000.5`),
		"short root key":    replaced(`"mesh_root_key":"AQ`, `"mesh_root_key":"A`),
		"upper-case owner":  replaced(`9dfa5f`, `9DFA5F`),
		"weak owner":        replaced(testKeys(t)["owner"].Public().String(), smallOrder[0]),
		"63-byte signature": replaced(`"signature":"`+testToken(t).Signature.String()[:2], `"signature":"`),
		"invalid UTF-8":     replaced(`<a&b>`, "\xff"),
	} {
		if _, err := ParseInviteToken(token); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrWeakKey) {
			t.Errorf("%s: got %v, want %v", name, err, ErrMalformed)
		}
	}
	if _, err := ParseInviteToken(replaced(`"v":1`, `"note":{"x":[]},"v":1`)); err != nil {
		t.Errorf("unknown name: got %v, want it ignored", err)
	}
}

func TestInviteTokenCoversEveryField(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*InviteToken){
		"mesh":   func(k *InviteToken) { k.MeshID = "msh_2" },
		"slug":   func(k *InviteToken) { k.MeshSlug = "b" },
		"broker": func(k *InviteToken) { k.BrokerURL = "wss://evil.example.test/ws" },
		"end":    func(k *InviteToken) { k.ExpiresAt = k.ExpiresAt.Add(time.Second) },
		"key":    func(k *InviteToken) { k.RootKey = NewSymmetricKey() },
		"role":   func(k *InviteToken) { k.Role = "admin" },
		"owner":  func(k *InviteToken) { k.Owner = testKeys(t)["bob_member"].Public() },
	} {
		token := testToken(t)
		change(&token)
		if err := token.Verify(); !errors.Is(err, ErrSignature) {
			t.Errorf("other %s: got %v, want %v", name, err, ErrSignature)
		}
	}
	incomplete := testToken(t)
	incomplete.RootKey = SymmetricKey{}
	if _, err := incomplete.Encode(); !errors.Is(err, ErrMalformed) {
		t.Errorf("encode without a root key: got %v, want %v", err, ErrMalformed)
	}
}

func TestInviteExpiryIsStrict(t *testing.T) {
	t.Parallel()
	end := time.Unix(1893456000, 0)
	token, capability := testToken(t), Capability{ExpiresAt: end}
	for at, want := range map[time.Time]bool{end.Add(-time.Millisecond): false, end: true, end.Add(time.Hour): true} {
		if token.Expired(at) != want || capability.Expired(at) != want {
			t.Errorf("expired at %v: got %v and %v, want %v", at, token.Expired(at), capability.Expired(at), want)
		}
	}
}

func TestCapabilityRefuses(t *testing.T) {
	t.Parallel()
	owner := testKeys(t)["owner"]
	good := Capability{MeshID: "msh_1", InviteID: "inv_1", ExpiresAt: time.Unix(1893456000, 0), Role: "member", Owner: owner.Public()}
	sig := must(good.Sign(owner))(t)
	for name, c := range map[string]struct {
		change func(*Capability)
		want   error
	}{
		"other mesh":   {func(c *Capability) { c.MeshID = "msh_2" }, ErrSignature},
		"other invite": {func(c *Capability) { c.InviteID = "inv_2" }, ErrSignature},
		"other end":    {func(c *Capability) { c.ExpiresAt = c.ExpiresAt.Add(time.Second) }, ErrSignature},
		"other role":   {func(c *Capability) { c.Role = "admin" }, ErrSignature},
		"other owner":  {func(c *Capability) { c.Owner = testKeys(t)["bob_member"].Public() }, ErrSignature},
		"no role":      {func(c *Capability) { c.Role = "" }, ErrMalformed},
		"no mesh":      {func(c *Capability) { c.MeshID = "" }, ErrMalformed},
		"separator":    {func(c *Capability) { c.InviteID = "inv|1" }, ErrMalformed},
		"weak owner":   {func(c *Capability) { c.Owner = PublicKey{0: 1} }, ErrWeakKey},
	} {
		changed := good
		c.change(&changed)
		if err := changed.Verify(sig); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := good.Sign(testKeys(t)["bob_member"]); !errors.Is(err, ErrMalformed) {
		t.Errorf("sign with another key: got %v, want %v", err, ErrMalformed)
	}
}

func FuzzParseInviteToken(f *testing.F) {
	good := must(testToken(f).Encode())(f)
	f.Add(good)
	f.Add(good[:20])
	f.Add(Base64URL([]byte(`{"v":1}`)))
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseInviteToken(text)
		if err != nil {
			return
		}
		encoded, err := token.Encode()
		if err != nil {
			t.Fatalf("accepted token %q does not encode: %v", text, err)
		}
		again, err := ParseInviteToken(encoded)
		if err != nil {
			t.Fatalf("encoded token %q is refused: %v", encoded, err)
		}
		before, after := must(token.text())(t), must(again.text())(t)
		if string(before) != string(after) || again.Signature != token.Signature || must(again.Encode())(t) != encoded {
			t.Fatalf("token %q changed to %q", text, encoded)
		}
	})
}
