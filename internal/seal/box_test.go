package seal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/crypto/nacl/box"
)

type boxInputs struct {
	Sender          string `json:"sender"`
	Recipient       string `json:"recipient"`
	SenderSecret    string `json:"sender_ed25519_secret_hex"`
	SenderKey       string `json:"sender_ed25519_public_hex"`
	RecipientKey    string `json:"recipient_ed25519_public_hex"`
	RecipientSecret string `json:"recipient_ed25519_secret_hex"`
	secretboxInputs
	PlaintextText string `json:"plaintext_utf8"`
}

// secretboxInputs are shared by crypto_box; Ciphertext is set in the cases that must not open.
type secretboxInputs struct {
	Key        string `json:"key_hex"`
	Nonce      string `json:"nonce_hex"`
	Plaintext  string `json:"plaintext_hex"`
	Ciphertext string `json:"ciphertext_hex"`
}

type boxExpected struct {
	Ciphertext     string `json:"ciphertext_hex"`
	WireNonce      string `json:"wire_nonce_b64"`
	WireCiphertext string `json:"wire_ciphertext_b64"`
	Opens          *bool  `json:"opens"`
}

// sealed gives the wire form of a case: the expected one, or the forged one.
func (in secretboxInputs) sealed(t *testing.T, want boxExpected) Sealed {
	t.Helper()
	if want.Opens == nil {
		return Sealed{want.WireNonce, want.WireCiphertext}
	}
	return Sealed{Nonce(unhex(t, in.Nonce)).String(), Base64(unhex(t, in.Ciphertext))}
}

// check compares what was sealed and opened with a case.
func (in secretboxInputs) check(t *testing.T, want boxExpected, key *sharedKey, opened []byte, err error) {
	t.Helper()
	if want.Opens != nil && !*want.Opens {
		if !errors.Is(err, ErrOpen) || opened != nil {
			t.Errorf("forged box: got %q and %v, want %v", opened, err, ErrOpen)
		}
		return
	}
	if err != nil || !bytes.Equal(opened, unhex(t, in.Plaintext)) {
		t.Errorf("plaintext: got %x and %v, want %s", opened, err, in.Plaintext)
	}
	n := Nonce(unhex(t, in.Nonce))
	ciphertext := key.seal(unhex(t, in.Plaintext), n)
	if got := hex.EncodeToString(ciphertext); got != want.Ciphertext {
		t.Errorf("ciphertext: got %s, want %s", got, want.Ciphertext)
	}
	if n.String() != want.WireNonce || Base64(ciphertext) != want.WireCiphertext {
		t.Errorf("wire form: got %s %s, want %s %s", n, Base64(ciphertext), want.WireNonce, want.WireCiphertext)
	}
}

func testCryptoBox(t *testing.T, section jsontext.Value) {
	eachVector(t, section, func(t *testing.T, c vector[boxInputs, boxExpected]) {
		in := c.Inputs
		sender, recipient := must(ParseSecretKey(in.SenderSecret))(t), must(ParseSecretKey(in.RecipientSecret))(t)
		boxes := NewBoxes(8)
		key := must(boxes.shared(sender, publicKey(t, in.RecipientKey)))(t)
		opened, err := boxes.Open(recipient, publicKey(t, in.SenderKey), in.sealed(t, c.Expected))
		in.check(t, c.Expected, key, opened, err)
	})
}

func testSecretbox(t *testing.T, section jsontext.Value) {
	eachVector(t, section, func(t *testing.T, c vector[secretboxInputs, boxExpected]) {
		key := must(SymmetricKeyOf(unhex(t, c.Inputs.Key)))(t)
		opened, err := key.Open(c.Inputs.sealed(t, c.Expected))
		c.Inputs.check(t, c.Expected, key.key(), opened, err)
	})
}

// The shared key must be the one of nacl/box, for honest keys.
func TestSharedKeyIsPrecompute(t *testing.T) {
	t.Parallel()
	for range 8 {
		own, peer := NewX25519Secret(), NewX25519Secret().Public()
		var want [32]byte
		box.Precompute(&want, (*[32]byte)(&peer), (*[32]byte)(own.key().Bytes()))
		if got := must(own.shared(peer))(t); *got != want {
			t.Errorf("shared key: got %x, want %x", *got, want)
		}
	}
}

func TestSealDrawsNonces(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	boxes := NewBoxes(8)
	seen := map[string]bool{}
	for range 100 {
		s := must(boxes.Seal(keys["alice_member"], keys["bob_member"].Public(), []byte("x")))(t)
		if seen[s.Nonce] {
			t.Fatalf("nonce %s came twice", s.Nonce)
		}
		seen[s.Nonce] = true
	}
}

func TestOpenGivesOneError(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	alice, bob := keys["alice_member"], keys["bob_member"]
	boxes := NewBoxes(8)
	good := must(boxes.Seal(alice, bob.Public(), []byte("secret")))(t)
	tampered := must(ParseBase64(good.Ciphertext))(t)
	tampered[len(tampered)-1] ^= 1
	for name, c := range map[string]struct {
		own  SecretKey
		peer PublicKey
		s    Sealed
	}{
		"other recipient":   {keys["owner"], alice.Public(), good},
		"other sender":      {bob, keys["owner"].Public(), good},
		"weak sender":       {bob, PublicKey{0: 1}, good},
		"no sender":         {bob, PublicKey{}, good},
		"bad sender":        {bob, PublicKey{0: 2}, good},
		"no own key":        {SecretKey{}, alice.Public(), good},
		"tampered":          {bob, alice.Public(), Sealed{good.Nonce, Base64(tampered)}},
		"other nonce":       {bob, alice.Public(), Sealed{NewNonce().String(), good.Ciphertext}},
		"no nonce":          {bob, alice.Public(), Sealed{"", good.Ciphertext}},
		"23-byte nonce":     {bob, alice.Public(), Sealed{Base64(make([]byte, 23)), good.Ciphertext}},
		"15-byte box":       {bob, alice.Public(), Sealed{good.Nonce, Base64(make([]byte, 15))}},
		"empty box":         {bob, alice.Public(), Sealed{good.Nonce, ""}},
		"no padding":        {bob, alice.Public(), Sealed{good.Nonce, strings.TrimRight(good.Ciphertext, "=")}},
		"nonce with break":  {bob, alice.Public(), Sealed{good.Nonce + "\n", good.Ciphertext}},
		"box with a break":  {bob, alice.Public(), Sealed{good.Nonce, "\n" + good.Ciphertext}},
		"reversed key pair": {keys["bob_session"], bob.Public(), good},
	} {
		if got, err := boxes.Open(c.own, c.peer, c.s); err != ErrOpen || got != nil {
			t.Errorf("%s: got %q and %v, want %v", name, got, err, ErrOpen)
		}
	}
}

// A box opens at its author too: the pair has one key. The inbox must know (design C9).
func TestReflectedBoxOpens(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	boxes := NewBoxes(8)
	s := must(boxes.Seal(keys["alice_member"], keys["bob_member"].Public(), []byte("x")))(t)
	if _, err := boxes.Open(keys["alice_member"], keys["bob_member"].Public(), s); err != nil {
		t.Errorf("reflected box: got %v, want it to open", err)
	}
}

func TestNonceHash(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	sender, recipient := keys["alice_session"].Public(), keys["bob_session"].Public()
	n := must(ParseNonce("LBhx33H0GJ3xlAe7wO1Cn7kQbvN6yHNW"))(t)
	got := NonceHash(sender, recipient, n)
	if want := "be8904db7f139a1dedef598954ae8e85988a170ad264c3f64a8ab921daf18b0a"; hex.EncodeToString(got[:]) != want {
		t.Errorf("got %x, want %s", got, want)
	}
	if NonceHash(recipient, sender, n) == got {
		t.Error("the other direction has the same hash")
	}
}
