package seal

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"filippo.io/edwards25519"
	"github.com/go-json-experiment/json/jsontext"
)

type keyInputs struct {
	Seed string `json:"seed_hex"`
}

type keyExpected struct {
	Public         string `json:"ed25519_public_hex"`
	Secret         string `json:"ed25519_secret_hex"`
	ExchangePublic string `json:"x25519_public_hex"`
	ExchangeSecret string `json:"x25519_secret_hex"`
}

func testKeypairs(t *testing.T, section jsontext.Value) {
	eachVector(t, section, func(t *testing.T, c vector[keyInputs, keyExpected]) {
		secret := must(ParseSecretKey(c.Expected.Secret))(t)
		if got := seedKey(t, c.Inputs.Seed).Reveal(); got != secret.Reveal() || got != c.Expected.Secret {
			t.Errorf("secret of the seed: got %s, want %s", got, c.Expected.Secret)
		}
		if got := secret.Public(); got != publicKey(t, c.Expected.Public) || got.String() != c.Expected.Public {
			t.Errorf("public key: got %s, want %s", got, c.Expected.Public)
		}
		if got := hex.EncodeToString(secret.Exchange().key().Bytes()); got != c.Expected.ExchangeSecret {
			t.Errorf("x25519 secret: got %s, want %s", got, c.Expected.ExchangeSecret)
		}
		converted := must(secret.Public().Exchange())(t)
		if got := hex.EncodeToString(converted[:]); got != c.Expected.ExchangePublic {
			t.Errorf("x25519 public key: got %s, want %s", got, c.Expected.ExchangePublic)
		}
		if got := secret.Exchange().Public(); got != converted {
			t.Errorf("public half of the x25519 secret: got %s, want %s", got, converted)
		}
	})
}

const (
	ff30 = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	zz30 = "000000000000000000000000000000000000000000000000000000000000"
)

// smallOrder are the eight points whose multiple by eight is the identity.
var smallOrder = []string{
	"01" + zz30 + "00", // identity
	"ec" + ff30 + "7f", // order 2
	"00" + zz30 + "00", // order 4
	"00" + zz30 + "80",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
}

// notCanonical are other texts of points, and texts of none.
var notCanonical = []string{
	"01" + zz30 + "80", // x = 0 with a sign
	"ec" + ff30 + "ff",
	"ed" + ff30 + "7f", // y = p, which is 0
	"ed" + ff30 + "ff",
	"ee" + ff30 + "7f", // y = p + 1, which is 1
	"ee" + ff30 + "ff",
	"f0" + ff30 + "7f", // y = p + 3
	"ff" + ff30 + "7f",
	"02" + zz30 + "00", // on no curve point
}

// mixedOrder is an honest key with a point of order 8 added: signatures under it verify by some rules and
// not by others.
func mixedOrder(t *testing.T) PublicKey {
	t.Helper()
	honest := must(new(edwards25519.Point).SetBytes(testKeys(t)["owner"].key().sign.Public().(ed25519.PublicKey)))(t)
	torsion := must(new(edwards25519.Point).SetBytes(unhex(t, smallOrder[4])))(t)
	return PublicKey(honest.Add(honest, torsion).Bytes())
}

func TestParsePublicKeyRefuses(t *testing.T) {
	t.Parallel()
	good := testKeys(t)["owner"].Public().String()
	cases := map[string]error{
		"":                                ErrMalformed,
		good[2:]:                          ErrMalformed, // 31 bytes
		good + "00":                       ErrMalformed, // 33 bytes
		good[1:]:                          ErrMalformed,
		strings.ToUpper(good):             ErrMalformed,
		"g" + good[1:]:                    ErrMalformed,
		" " + good[1:]:                    ErrMalformed,
		strings.Repeat("\x00", len(good)): ErrMalformed,
		strings.Repeat("é", len(good)/2):  ErrMalformed,
		mixedOrder(t).String():            ErrWeakKey,
	}
	for _, s := range smallOrder {
		cases[s] = ErrWeakKey
	}
	for _, s := range notCanonical {
		cases[s] = ErrMalformed
	}
	for s, want := range cases {
		if _, err := ParsePublicKey(s); !errors.Is(err, want) {
			t.Errorf("ParsePublicKey(%q): got %v, want %v", s, err, want)
		}
	}
}

// DecodePublicKey lets a bad point pass, so every use of one must be refused.
func TestBadPointsAreRefusedAtUse(t *testing.T) {
	t.Parallel()
	own := testKeys(t)["bob_member"]
	forged := Signature{0: 1} // R = identity, S = 0: verifies every text under the identity
	for _, s := range append(append([]string{mixedOrder(t).String()}, smallOrder...), notCanonical...) {
		k := must(DecodePublicKey(s))(t)
		if err := k.verify([]byte("any text"), forged); err == nil {
			t.Errorf("key %s verifies a forged signature", s)
		}
		if _, err := k.Exchange(); err == nil {
			t.Errorf("key %s was converted", s)
		}
		if _, err := NewBoxes(1).Seal(own, k, []byte("x")); err == nil {
			t.Errorf("a box was sealed to %s", s)
		}
	}
	identity := must(DecodePublicKey(smallOrder[0]))(t)
	if !ed25519.Verify(identity[:], []byte("any text"), forged[:]) {
		t.Error("the forged signature does not verify even without our check: the test shows nothing")
	}
}

// The quick look at the bytes of a key refuses what decoding it refuses, but for what is on no point.
func TestSoundIsWhatPointAccepts(t *testing.T) {
	t.Parallel()
	texts := append(append([]string{mixedOrder(t).String()}, smallOrder...), notCanonical...)
	for range 200 {
		texts = append(texts, NewSecretKey().Public().String())
	}
	for _, s := range texts {
		k := must(DecodePublicKey(s))(t)
		_, err := k.point()
		_, decodes := new(edwards25519.Point).SetBytes(k[:])
		if k.sound() != (err == nil) && decodes == nil {
			t.Errorf("key %s: got sound %t, and %v of its point", s, k.sound(), err)
		}
	}
}

func TestParseSecretKeyRefuses(t *testing.T) {
	t.Parallel()
	good := testKeys(t)["owner"].Reveal()
	other := testKeys(t)["bob_member"].Reveal()
	for name, s := range map[string]string{
		"nothing":             "",
		"seed only":           good[:64],
		"63 bytes":            good[2:],
		"65 bytes":            good + "00",
		"upper case":          strings.ToUpper(good),
		"other public half":   good[:64] + other[64:],
		"one bit of the half": good[:127] + string(good[127]^1),
		"no hex":              "x" + good[1:],
	} {
		if k, err := ParseSecretKey(s); !errors.Is(err, ErrMalformed) || !k.IsZero() {
			t.Errorf("%s: got %v and %v, want %v", name, k, err, ErrMalformed)
		}
	}
}

func TestNewSecretKey(t *testing.T) {
	t.Parallel()
	a, b := NewSecretKey(), NewSecretKey()
	if a.Public() == b.Public() {
		t.Error("two new keys are equal")
	}
	if got := must(ParseSecretKey(a.Reveal()))(t).Public(); got != a.Public() {
		t.Errorf("parsed again: got %s, want %s", got, a.Public())
	}
	publicKey(t, a.Public().String())
}

func TestZeroSecretKeyIsRefused(t *testing.T) {
	t.Parallel()
	var zero SecretKey
	peer := testKeys(t)["owner"].Public()
	if !zero.IsZero() || !zero.Public().IsZero() || zero.Reveal() != "" || !zero.Exchange().IsZero() {
		t.Errorf("zero key: got %s and %q, want nothing", zero.Public(), zero.Reveal())
	}
	if zero.Exchange().Public() != (X25519Public{}) {
		t.Error("the zero exchange key has a public half")
	}
	if _, err := (Hello{}).Sign(zero); !errors.Is(err, ErrMalformed) {
		t.Errorf("sign: got %v, want %v", err, ErrMalformed)
	}
	if _, err := NewBoxes(1).Seal(zero, peer, nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("seal: got %v, want %v", err, ErrMalformed)
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add("9dfa5f382de07d3af6dd98a43450355cf4b3d9a5086fa3bcb7fc322d95e4f55f")
	for _, s := range append(append([]string{}, smallOrder...), notCanonical...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParsePublicKey(s)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrWeakKey) {
				t.Fatalf("ParsePublicKey(%q): got %v", s, err)
			}
			return
		}
		if k.String() != s {
			t.Fatalf("ParsePublicKey(%q) reads as %q", s, k)
		}
		if _, err := k.Exchange(); err != nil {
			t.Fatalf("accepted key %q does not convert: %v", s, err)
		}
	})
}

func FuzzParseSecretKey(f *testing.F) {
	f.Add("4698a1064b59bb180f4b752152249829f5a916bfe7ab86ccd24d41099c347a3f9dfa5f382de07d3af6dd98a43450355cf4b3d9a5086fa3bcb7fc322d95e4f55f")
	f.Add(strings.Repeat("0", 128))
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseSecretKey(s)
		if err == nil && (k.Reveal() != s || k.Public().String() != s[64:]) {
			t.Fatalf("ParseSecretKey(%q) reads as %q", s, k.Reveal())
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("ParseSecretKey(%q): got %v", s, err)
		}
	})
}
