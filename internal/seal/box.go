package seal

import (
	"crypto/rand"
	"crypto/sha256"

	"golang.org/x/crypto/nacl/secretbox"
)

// Nonce is used once per key: 24 bytes.
type Nonce [24]byte

// NewNonce draws a nonce from crypto/rand. 24 random bytes do not repeat.
func NewNonce() Nonce {
	var n Nonce
	_, _ = rand.Read(n[:]) // crypto/rand never returns an error
	return n
}

// ParseNonce reads 32 characters of strict base64; ErrMalformed otherwise.
func ParseNonce(s string) (Nonce, error) {
	raw, err := ParseBase64(s)
	if err != nil || len(raw) != len(Nonce{}) {
		return Nonce{}, ErrMalformed
	}
	return Nonce(raw), nil
}

// String gives 32 characters of base64.
func (n Nonce) String() string { return Base64(n[:]) }

// Sealed is a box as it travels: both fields in strict padded base64 (crypto 4).
type Sealed struct {
	Nonce      string
	Ciphertext string // 16-byte tag, then as many bytes as the plaintext
}

// NonceHash is what an inbox keeps of a box for ever: SHA-256(sender ‖ recipient ‖ nonce). A second box with
// the same hash is a replay (design C9).
func NonceHash(sender, recipient PublicKey, n Nonce) [sha256.Size]byte {
	text := make([]byte, 0, len(sender)+len(recipient)+len(n))
	text = append(text, sender[:]...)
	text = append(text, recipient[:]...)
	return sha256.Sum256(append(text, n[:]...))
}

// tagBytes is how much longer a box is than what it holds.
const tagBytes = secretbox.Overhead

// seal and open are box.SealAfterPrecomputation and its inverse: a box is a secretbox under a shared key.
func (k *sharedKey) seal(plaintext []byte, n Nonce) []byte {
	out := make([]byte, 0, len(plaintext)+tagBytes)
	return secretbox.Seal(out, plaintext, (*[24]byte)(&n), (*[32]byte)(k))
}

func (k *sharedKey) open(ciphertext []byte, n Nonce) ([]byte, error) {
	if len(ciphertext) < tagBytes {
		return nil, ErrOpen
	}
	out := make([]byte, 0, len(ciphertext)-tagBytes)
	plaintext, ok := secretbox.Open(out, ciphertext, (*[24]byte)(&n), (*[32]byte)(k))
	if !ok {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// sealed puts a box under a fresh nonce into its wire form.
func (k *sharedKey) sealed(plaintext []byte) Sealed {
	n := NewNonce()
	return Sealed{Nonce: n.String(), Ciphertext: Base64(k.seal(plaintext, n))}
}

// parse undoes the wire form. A Sealed that is no box at all is one that does not open.
func (s Sealed) parse() (Nonce, []byte, error) {
	n, err := ParseNonce(s.Nonce)
	if err != nil {
		return Nonce{}, nil, ErrOpen
	}
	ciphertext, err := ParseBase64(s.Ciphertext)
	if err != nil {
		return Nonce{}, nil, ErrOpen
	}
	return n, ciphertext, nil
}
