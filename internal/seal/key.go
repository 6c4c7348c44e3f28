package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"slices"

	"filippo.io/edwards25519"
)

// PublicKey is an ed25519 public key, 32 bytes: a member, a session or a mesh owner. The zero value is a
// weak key, so it never verifies or opens anything.
type PublicKey [ed25519.PublicKeySize]byte

// ParsePublicKey reads 64 lower-case hex characters, at the places where a key is first met: create, claim
// and hello (design C11). A text or point encoding that is not canonical is ErrMalformed; a point of small
// order, or outside the prime-order subgroup, is ErrWeakKey.
func ParsePublicKey(s string) (PublicKey, error) {
	k, err := DecodePublicKey(s)
	if err != nil {
		return PublicKey{}, err
	}
	if _, err := k.primePoint(); err != nil {
		return PublicKey{}, err
	}
	return k, nil
}

// DecodePublicKey reads the text as ParsePublicKey does and leaves the point unchecked: for keys that come
// with every message. A bad point is refused where the key is used, by a verification or by the first box.
func DecodePublicKey(s string) (PublicKey, error) {
	var k PublicKey
	if err := decodeHex(k[:], s); err != nil {
		return PublicKey{}, err
	}
	return k, nil
}

// String gives 64 lower-case hex characters.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// IsZero reports whether k was never set.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// point decodes k. It refuses what libsodium's verification refuses: encodings that are not canonical and
// points of small order, under which one signature is good for every text (crypto 2).
func (k PublicKey) point() (*edwards25519.Point, error) {
	p, err := new(edwards25519.Point).SetBytes(k[:])
	if err != nil || PublicKey(p.Bytes()) != k {
		return nil, ErrMalformed
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return nil, ErrWeakKey
	}
	return p, nil
}

// weakPoints are the encodings of the points of small order, without the sign: the identity, and those of order 2, 4, 8 and 8.
var weakPoints = [...]PublicKey{
	{0: 0x01},
	{
		0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
	},
	{},
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
}

// sound reports by its bytes alone whether k, if it is a point, is one that point accepts: it is below the prime, and none
// of small order. Decoding it for that would cost a fifth of a verification.
func (k PublicKey) sound() bool {
	k[31] &= 0x7f
	if k[31] == 0x7f && k[0] >= 0xed && bytes.Count(k[1:31], []byte{0xff}) == 30 {
		return false
	}
	return !slices.Contains(weakPoints[:], k)
}

// primePoint decodes k and refuses every point that an honest key cannot be: those of the prime-order
// subgroup give the identity when multiplied by its order (crypto 3).
func (k PublicKey) primePoint() (*edwards25519.Point, error) {
	p, err := k.point()
	if err != nil {
		return nil, err
	}
	zero := edwards25519.NewScalar()
	last := edwards25519.NewScalar().Subtract(zero, scalarOne()) // the order less one: scalars stop there
	q := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(last, p, zero)
	if q.Add(q, p).Equal(edwards25519.NewIdentityPoint()) != 1 {
		return nil, ErrWeakKey
	}
	return p, nil
}

func scalarOne() *edwards25519.Scalar {
	one, err := edwards25519.NewScalar().SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		panic("one is a scalar: " + err.Error())
	}
	return one
}

// SecretKey is an ed25519 secret key with its public half. It prints as a label with the first 8
// characters of the public key. The zero value holds no key: IsZero, and every use of it is refused.
// Copies share one key and are safe to use from several goroutines.
type SecretKey struct {
	redacted
	key held[keyPair]
}

type keyPair struct {
	sign     ed25519.PrivateKey
	public   PublicKey
	exchange X25519Secret
}

// NewSecretKey makes a key from crypto/rand.
func NewSecretKey() SecretKey {
	var seed [ed25519.SeedSize]byte
	_, _ = rand.Read(seed[:]) // crypto/rand never returns an error
	return secretKeyOf(seed)
}

// ParseSecretKey reads 128 lower-case hex characters, seed then public key as libsodium writes it
// (crypto 1). A public half that is not the seed's is ErrMalformed.
func ParseSecretKey(s string) (SecretKey, error) {
	var raw [ed25519.PrivateKeySize]byte
	if err := decodeHex(raw[:], s); err != nil {
		return SecretKey{}, err
	}
	k := secretKeyOf([ed25519.SeedSize]byte(raw[:]))
	if subtle.ConstantTimeCompare(k.key().sign, raw[:]) != 1 {
		return SecretKey{}, ErrMalformed
	}
	return k, nil
}

func secretKeyOf(seed [ed25519.SeedSize]byte) SecretKey {
	sign := ed25519.NewKeyFromSeed(seed[:])
	public := PublicKey(sign[ed25519.SeedSize:])
	return SecretKey{
		redacted: redact("ed25519 " + public.String()[:8]),
		key:      hold(&keyPair{sign: sign, public: public, exchange: exchangeSecret(seed)}),
	}
}

// IsZero reports whether k holds no key.
func (k SecretKey) IsZero() bool { return k.key == nil }

// Public gives the public half; the zero key for a zero secret.
func (k SecretKey) Public() PublicKey {
	if k.IsZero() {
		return PublicKey{}
	}
	return k.key().public
}

// Exchange gives the X25519 secret that boxes to this key are opened with (crypto 3).
func (k SecretKey) Exchange() X25519Secret {
	if k.IsZero() {
		return X25519Secret{}
	}
	return k.key().exchange
}

// Reveal gives the 128 hex characters that ParseSecretKey reads, for the key file and nowhere else.
// It is empty for a zero key.
func (k SecretKey) Reveal() string {
	if k.IsZero() {
		return ""
	}
	return hex.EncodeToString(k.key().sign)
}
