package seal

import "crypto/rand"

// SymmetricKey is 32 secret bytes: the key of a topic or a file, or a mesh's root key. It prints as a label.
// The zero value holds no key. Nothing is ever encrypted with a root key: brokers know it (design C2).
type SymmetricKey struct {
	redacted
	key held[sharedKey]
}

// NewSymmetricKey makes a key from crypto/rand.
func NewSymmetricKey() SymmetricKey {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // crypto/rand never returns an error
	return symmetricKey(raw)
}

// ParseSymmetricKey reads 43 base64url characters without padding (crypto 1); ErrMalformed otherwise.
func ParseSymmetricKey(s string) (SymmetricKey, error) {
	raw, err := ParseBase64URL(s)
	if err != nil {
		return SymmetricKey{}, err
	}
	return SymmetricKeyOf(raw)
}

// SymmetricKeyOf copies a key that came out of a box; ErrMalformed when raw is not 32 bytes.
func SymmetricKeyOf(raw []byte) (SymmetricKey, error) {
	if len(raw) != len(sharedKey{}) {
		return SymmetricKey{}, ErrMalformed
	}
	return symmetricKey([32]byte(raw)), nil
}

func symmetricKey(raw [32]byte) SymmetricKey {
	return SymmetricKey{redacted: redact("key"), key: hold((*sharedKey)(&raw))}
}

// IsZero reports whether k holds no key.
func (k SymmetricKey) IsZero() bool { return k.key == nil }

// Bytes gives a copy of the 32 bytes, to be sealed to somebody; nil for a zero key.
func (k SymmetricKey) Bytes() []byte {
	if k.IsZero() {
		return nil
	}
	raw := *k.key()
	return raw[:]
}

// Reveal gives the 43 base64url characters that ParseSymmetricKey reads; empty for a zero key.
func (k SymmetricKey) Reveal() string { return Base64URL(k.Bytes()) }

// Seal encrypts with crypto_secretbox under a fresh nonce (crypto 6, 8). ErrMalformed for a zero key.
func (k SymmetricKey) Seal(plaintext []byte) (Sealed, error) {
	if k.IsZero() {
		return Sealed{}, ErrMalformed
	}
	return k.key().sealed(plaintext), nil
}

// Open undoes Seal. The only error is ErrOpen.
func (k SymmetricKey) Open(s Sealed) ([]byte, error) {
	n, ciphertext, err := s.parse()
	if err != nil || k.IsZero() {
		return nil, ErrOpen
	}
	return k.key().open(ciphertext, n)
}
