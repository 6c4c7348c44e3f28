package seal

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"

	"golang.org/x/crypto/salsa20/salsa"
)

// X25519Public is a key that boxes are sealed to: converted from an ed25519 key, or made for one invite
// claim. 32 bytes.
type X25519Public [32]byte

// ParseX25519Public reads 43 base64url characters without padding, the form of a claim key (crypto 1).
// ErrWeakKey when the point has low order: what is sealed to such a key can be opened by anyone.
func ParseX25519Public(s string) (X25519Public, error) {
	raw, err := ParseBase64URL(s)
	if err != nil || len(raw) != len(X25519Public{}) {
		return X25519Public{}, ErrMalformed
	}
	k := X25519Public(raw)
	// Any secret shows low order: the product is zero for every one of them.
	if _, err := x25519Secret([32]byte{1}).shared(k); err != nil {
		return X25519Public{}, err
	}
	return k, nil
}

// String gives 43 base64url characters.
func (k X25519Public) String() string { return Base64URL(k[:]) }

// Exchange converts an ed25519 key to the X25519 key that boxes are sealed to (crypto 3). The errors are
// those of ParsePublicKey.
func (k PublicKey) Exchange() (X25519Public, error) {
	p, err := k.primePoint()
	if err != nil {
		return X25519Public{}, err
	}
	return X25519Public(p.BytesMontgomery()), nil
}

// X25519Secret is the secret half of an X25519Public. It prints as a label. The zero value holds no key
// and opens nothing.
type X25519Secret struct {
	redacted
	key held[ecdh.PrivateKey]
}

// NewX25519Secret makes a key from crypto/rand for one claim (design C3).
func NewX25519Secret() X25519Secret {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // crypto/rand never returns an error
	return x25519Secret(raw)
}

// exchangeSecret converts an ed25519 seed: the first half of its SHA-512, clamped (crypto 3).
func exchangeSecret(seed [32]byte) X25519Secret {
	h := sha512.Sum512(seed[:])
	raw := [32]byte(h[:])
	raw[0] &= 248
	raw[31] &= 127
	raw[31] |= 64
	return x25519Secret(raw)
}

func x25519Secret(raw [32]byte) X25519Secret {
	key, err := ecdh.X25519().NewPrivateKey(raw[:])
	if err != nil {
		panic("32 bytes are an X25519 key: " + err.Error())
	}
	return X25519Secret{redacted: redact("x25519 " + hex.EncodeToString(key.PublicKey().Bytes()[:4])), key: hold(key)}
}

// IsZero reports whether s holds no key.
func (s X25519Secret) IsZero() bool { return s.key == nil }

// Public gives the public half; the zero key, which is weak, for a zero secret.
func (s X25519Secret) Public() X25519Public {
	if s.IsZero() {
		return X25519Public{}
	}
	return X25519Public(s.key().PublicKey().Bytes())
}

// sharedKey is the key of all boxes between two X25519 keys.
type sharedKey [32]byte

// shared derives what box.Precompute would, but through crypto/ecdh, which refuses points of low order:
// nacl/box lets such a peer choose a key that everybody knows (design C11).
func (s X25519Secret) shared(peer X25519Public) (*sharedKey, error) {
	if s.IsZero() {
		return nil, ErrMalformed
	}
	public, err := ecdh.X25519().NewPublicKey(peer[:])
	if err != nil {
		return nil, ErrWeakKey
	}
	product, err := s.key().ECDH(public)
	if err != nil {
		return nil, ErrWeakKey
	}
	var key sharedKey
	salsa.HSalsa20((*[32]byte)(&key), new([16]byte), (*[32]byte)(product), &salsa.Sigma)
	return &key, nil
}
