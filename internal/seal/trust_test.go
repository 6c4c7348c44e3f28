package seal

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// trustFile is testdata/trust.json: known answers of what we added to the signed texts of the protocol, made by another
// implementation of ed25519 and of the texts.
type trustFile struct {
	Keys    map[string]string `json:"keys"`
	Content struct {
		Nonce      string `json:"nonce_hex"`
		Ciphertext string `json:"ciphertext_hex"`
		Content    string `json:"content_hex"`
	} `json:"content"`
	Cases []trustCase `json:"cases"`
}

type trustCase struct {
	ID        string      `json:"id"`
	Note      string      `json:"note"`
	Kind      string      `json:"kind"`
	Inputs    trustInputs `json:"inputs"`
	Signer    string      `json:"signer"`
	Canonical string      `json:"canonical_hex"`
	Signature string      `json:"signature_hex"`
	Verdict   string      `json:"verdict"`
}

type trustInputs struct {
	Host      string `json:"host"`
	MeshID    string `json:"mesh_id"`
	MemberID  string `json:"member_id"`
	Member    string `json:"member_public_hex"`
	Session   string `json:"session_public_hex"`
	Challenge string `json:"challenge_hex"`
	NotBefore int64  `json:"not_before_ms"`
	ExpiresAt int64  `json:"expires_at_ms"`
	At        int64  `json:"at_ms"`
	Sender    string `json:"sender"`
	Target    string `json:"target"`
	ClientID  string `json:"client_id"`
	ReplyTo   string `json:"reply_to"`
	Priority  string `json:"priority"`
	Name      string `json:"name"`
	SentAt    int64  `json:"sent_at_ms"`
	Content   string `json:"content_hex"`
}

func readTrust(t testing.TB) trustFile {
	t.Helper()
	raw, err := os.ReadFile("testdata/trust.json")
	if err != nil {
		t.Fatal(err)
	}
	var file trustFile
	if err := json.Unmarshal(raw, &file, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTrustVectors(t *testing.T) {
	t.Parallel()
	file := readTrust(t)
	if len(file.Cases) < 30 {
		t.Fatalf("got %d cases, want all", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			text, verify, sign := c.parts(t, file)
			if got := hex.EncodeToString(text); got != c.Canonical {
				t.Errorf("signed text: got %q, want %q", text, unhex(t, c.Canonical))
			}
			sig := must(ParseSignature(c.Signature))(t)
			got := "ok"
			if err := verify(sig); err != nil {
				got = string(mesh.CodeOf(err))
			}
			if got != c.Verdict {
				t.Errorf("%s: got %s, want %s", c.Note, got, c.Verdict)
			}
			if c.Verdict == "ok" {
				if again := must(sign(testKeys(t)[c.Signer]))(t); again != sig {
					t.Errorf("signature: got %s, want %s", again, sig)
				}
			}
		})
	}
}

// parts gives the text of a case, and how it is verified and signed.
func (c trustCase) parts(t *testing.T, file trustFile) (text []byte, verify func(Signature) error, sign func(SecretKey) (Signature, error)) {
	t.Helper()
	in := c.Inputs
	switch c.Kind {
	case "auth":
		a := Auth{Host: in.Host, MeshID: in.MeshID, MemberID: in.MemberID, Member: publicKey(t, in.Member), Challenge: must(ParseChallenge(in.Challenge))(t)}
		if in.Session != "" {
			a.Session = publicKey(t, in.Session)
		}
		if strings.HasSuffix(c.Signer, "_session") {
			return a.text(), a.VerifySession, a.Sign
		}
		return a.text(), a.VerifyMember, a.Sign
	case "vouch":
		v := Vouch{in.Host, in.MeshID, publicKey(t, in.Member), publicKey(t, in.Session), atMilli(in.NotBefore), atMilli(in.ExpiresAt)}
		return v.text(), func(s Signature) error { return v.Verify(s, atMilli(in.At)) }, v.Sign
	case "proof":
		p := Proof{
			MeshID: in.MeshID, Target: in.Target, ClientID: in.ClientID, ReplyTo: in.ReplyTo, Priority: in.Priority, Name: in.Name,
			SentAt: atMilli(in.SentAt), Content: [32]byte(unhex(t, in.Content)),
		}
		sender := publicKey(t, file.Keys[in.Sender])
		return p.text(), func(s Signature) error { return p.Verify(sender, s) }, p.Sign
	}
	t.Fatalf("kind %q is not known", c.Kind)
	return nil, nil, nil
}

func TestContentHash(t *testing.T) {
	t.Parallel()
	c := readTrust(t).Content
	n, ciphertext := Nonce(unhex(t, c.Nonce)), unhex(t, c.Ciphertext)
	sum := must(Sealed{Nonce: n.String(), Ciphertext: Base64(ciphertext)}.HashContent())(t)
	if diff := cmp.Diff(c.Content, hex.EncodeToString(sum[:])); diff != "" || sum != ContentHash(n, ciphertext) {
		t.Errorf("-want +got\n%s", diff)
	}
	longer := append(append([]byte{}, n[:]...), ciphertext[:6]...)
	for _, s := range []Sealed{
		{Base64(longer), Base64(ciphertext[6:])}, // the same bytes with the border elsewhere
		{Base64(n[:23]), Base64(ciphertext)}, {"", Base64(ciphertext)}, {n.String(), "not base64"}, {n.String() + "\n", Base64(ciphertext)},
	} {
		if _, err := s.HashContent(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v: got %v, want %v", s, err, ErrMalformed)
		}
	}
}

func TestAuthSigners(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	a := Auth{Host: "h:1", MeshID: "m", MemberID: "n", Member: keys["alice_member"].Public(), Challenge: NewChallenge()}
	if _, err := a.Sign(keys["alice_session"]); !errors.Is(err, ErrMalformed) {
		t.Errorf("a key that is not named: got %v, want %v", err, ErrMalformed)
	}
	if err := a.VerifySession(must(a.Sign(keys["alice_member"]))(t)); err == nil {
		t.Error("without a session: got a signature of it that verifies")
	}
	if _, err := a.Sign(SecretKey{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("no key: got %v, want %v", err, ErrMalformed)
	}
	a.Member = PublicKey{0: 1}
	if err := a.VerifyMember(Signature{0: 1}); !errors.Is(err, ErrWeakKey) {
		t.Errorf("weak member: got %v, want %v", err, ErrWeakKey)
	}
}

func TestVouchBindsAfterItIsOver(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	start := atMilli(1777900000000)
	v := Vouch{"h:1", "m", keys["alice_member"].Public(), keys["alice_session"].Public(), start, start.Add(VouchLimit)}
	sig := must(v.Sign(keys["alice_member"]))(t)
	if err := v.Verify(sig, start.Add(time.Hour)); !errors.Is(err, ErrExpired) {
		t.Errorf("an hour later: got %v, want %v", err, ErrExpired)
	}
	if err := v.Binds(sig); err != nil {
		t.Errorf("whose the key is: got %v, want no error", err)
	}
	v.ExpiresAt = start.Add(-time.Hour)
	if err := v.Binds(sig); !errors.Is(err, ErrMalformed) {
		t.Errorf("ends before it begins: got %v, want %v", err, ErrMalformed)
	}
	v.NotBefore, v.ExpiresAt = atMilli(-1<<62), atMilli(1<<62)
	if err := v.Binds(sig); !errors.Is(err, ErrLifetime) {
		t.Errorf("for ever: got %v, want %v", err, ErrLifetime)
	}
}

func FuzzParseChallenge(f *testing.F) {
	f.Add(NewChallenge().String())
	f.Add("")
	f.Add(strings.Repeat("0", 64))
	f.Add(strings.Repeat("AB", 32))
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseChallenge(s)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || c != (Challenge{}) {
				t.Errorf("%q: got %v, %v, want %v", s, c, err, ErrMalformed)
			}
			return
		}
		if c.String() != s {
			t.Errorf("got %q, want %q", c, s)
		}
	})
}
