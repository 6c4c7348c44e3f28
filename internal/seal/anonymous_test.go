package seal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/crypto/nacl/box"
)

type anonymousInputs struct {
	RecipientKey    string `json:"recipient_ed25519_public_hex"`
	RecipientSecret string `json:"recipient_ed25519_secret_hex"`
	PublicURL       string `json:"recipient_x25519_public_b64url"`
	Public          string `json:"recipient_x25519_public_hex"`
	Secret          string `json:"recipient_x25519_secret_hex"`
	Ephemeral       string `json:"ephemeral_x25519_secret_hex"`
	Nonce           string `json:"derived_nonce_hex"`
	Plaintext       string `json:"plaintext_hex"`
}

type anonymousExpected struct {
	Sealed   string `json:"sealed_hex"`
	Wire     string `json:"wire"`
	Encoding string `json:"wire_encoding"`
	OpensTo  string `json:"opens_to_hex"`
}

// recipient gives the secret of a case by every way it is given, which must agree.
func (in anonymousInputs) recipient(t *testing.T) X25519Secret {
	t.Helper()
	secret := x25519Secret([32]byte(unhex(t, in.Secret)))
	if in.RecipientSecret != "" {
		own := must(ParseSecretKey(in.RecipientSecret))(t)
		if converted := must(publicKey(t, in.RecipientKey).Exchange())(t); own.Exchange().Public() != converted || converted != secret.Public() {
			t.Errorf("converted key: got %s, want %s", converted, secret.Public())
		}
	}
	if in.PublicURL != "" && must(ParseX25519Public(in.PublicURL))(t) != secret.Public() {
		t.Errorf("public key: got %s, want %s", secret.Public(), in.PublicURL)
	}
	if got := secret.Public(); hex.EncodeToString(got[:]) != in.Public {
		t.Errorf("public key: got %x, want %s", got, in.Public)
	}
	return secret
}

func testSealedBox(t *testing.T, section jsontext.Value) {
	encodings := map[string]func([]byte) string{"base64-std-padded": Base64, "base64url-no-pad": Base64URL}
	eachVector(t, section, func(t *testing.T, c vector[anonymousInputs, anonymousExpected]) {
		in := c.Inputs
		recipient := in.recipient(t)
		ephemeral := x25519Secret([32]byte(unhex(t, in.Ephemeral)))
		if n := anonymousNonce(ephemeral.Public(), recipient.Public()); hex.EncodeToString(n[:]) != in.Nonce {
			t.Errorf("nonce: got %x, want %s", n, in.Nonce)
		}
		sealed := must(sealAnonymous(ephemeral, recipient.Public(), unhex(t, in.Plaintext)))(t)
		if hex.EncodeToString(sealed) != c.Expected.Sealed || encodings[c.Expected.Encoding](sealed) != c.Expected.Wire {
			t.Errorf("sealed: got %x, want %s", sealed, c.Expected.Sealed)
		}
		opened := must(OpenAnonymous(recipient, unhex(t, c.Expected.Sealed)))(t)
		if hex.EncodeToString(opened) != c.Expected.OpensTo {
			t.Errorf("opened: got %x, want %s", opened, c.Expected.OpensTo)
		}
	})
}

func TestAnonymousIsNaCl(t *testing.T) {
	t.Parallel()
	own := NewX25519Secret()
	public := own.Public()
	sealed := must(SealAnonymous(public, []byte("hola")))(t)
	opened, ok := box.OpenAnonymous(nil, sealed, (*[32]byte)(&public), (*[32]byte)(own.key().Bytes()))
	if !ok || string(opened) != "hola" {
		t.Errorf("nacl/box opened %q, %v, want hola", opened, ok)
	}
	theirs := must(box.SealAnonymous(nil, []byte("hola"), (*[32]byte)(&public), nil))(t)
	if got := must(OpenAnonymous(own, theirs))(t); string(got) != "hola" {
		t.Errorf("opened: got %q, want hola", got)
	}
	if again := must(SealAnonymous(public, []byte("hola")))(t); bytes.Equal(again, sealed) {
		t.Error("the same text sealed twice is the same")
	}
}

func TestOpenAnonymousRefuses(t *testing.T) {
	t.Parallel()
	own := NewX25519Secret()
	good := must(SealAnonymous(own.Public(), []byte("hola")))(t)
	tampered := bytes.Clone(good)
	tampered[40] ^= 1
	low := append(unhex(t, lowOrder[1]), good[32:]...)
	for name, sealed := range map[string][]byte{
		"nothing": nil, "31 bytes": good[:31], "47 bytes": good[:47], "cut": good[:len(good)-1], "tampered": tampered, "low order": low,
	} {
		if got, err := OpenAnonymous(own, sealed); !errors.Is(err, ErrOpen) || got != nil {
			t.Errorf("%s: got %q and %v, want %v", name, got, err, ErrOpen)
		}
	}
	for name, secret := range map[string]X25519Secret{"other key": NewX25519Secret(), "no key": {}} {
		if _, err := OpenAnonymous(secret, good); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: got %v, want %v", name, err, ErrOpen)
		}
	}
}
