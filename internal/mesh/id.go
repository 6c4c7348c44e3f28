package mesh

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
)

// ID names a stored thing: mesh, member, message, invite. 32 base62 characters (wire 1).
type ID string

// ClientID is a client message id: chosen by the sender, unique per sender and mesh (daemon 11).
type ClientID string

// Key is an ed25519 public key as 64 lower-case hex characters. It is the identity behind every name.
type Key string

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewID returns a random id that cannot be guessed.
func NewID() ID { return ID(randomText(base62, 32)) }

// randomText draws n characters of alphabet without bias: bytes beyond the last full multiple are thrown away.
func randomText(alphabet string, n int) string {
	limit := 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	buf := make([]byte, n+16)
	for len(out) < n {
		_, _ = rand.Read(buf) // crypto/rand never returns an error
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// codeAlphabet has 57 symbols: no 0 O 1 I l, which people confuse (crypto 10).
const codeAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// NewInviteCode returns the 12 characters of a new invite link (design C3).
func NewInviteCode() string { return randomText(codeAlphabet, 12) }

// ValidInviteCode reports whether s can be an invite code: 6 to 16 symbols (design C3).
func ValidInviteCode(s string) bool {
	return len(s) >= 6 && len(s) <= 16 && strings.Trim(s, codeAlphabet) == ""
}

// NewClientID returns a UUIDv7, so that lists sort by age.
func NewClientID(now time.Time) ClientID {
	var b [16]byte
	_, _ = rand.Read(b[6:]) // crypto/rand never returns an error
	ms := now.UnixMilli()
	for i := range 6 {
		b[i] = byte(ms >> (8 * (5 - i)))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return ClientID(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
}

// NewToken returns 32 random bytes as hex: session tokens and attempt tokens.
func NewToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return hex.EncodeToString(b[:])
}

// maxClientIDBytes bounds what a caller may choose as an id.
const maxClientIDBytes = 200

// ParseClientID checks an id chosen by a caller: 1 to 200 printable ASCII characters without spaces.
func ParseClientID(s string) (ClientID, error) {
	if s == "" || len(s) > maxClientIDBytes {
		return "", Errorf(BadRequest, "a client message id has 1 to %d characters", maxClientIDBytes)
	}
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return "", Errorf(BadRequest, "a client message id has printable ASCII characters only")
		}
	}
	return ClientID(s), nil
}

// IsKey reports whether s has the shape of a public key: 64 hex characters in lower case.
func IsKey(s string) bool { return len(s) == 64 && isHex(s) && strings.ToLower(s) == s }

// Short is the first 16 characters of a key, as lists print it.
func (k Key) Short() string {
	if len(k) < 16 {
		return string(k)
	}
	return string(k[:16])
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return s != ""
}
