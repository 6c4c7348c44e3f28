package seal

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// Destination is where a send request goes, in the terms of its fingerprint: what the caller typed, not the
// key it resolves to (daemon 11.2).
type Destination struct {
	Kind string // dm or topic
	Ref  string
}

// ParseDestination maps the `to` of a send request. `@*` and `*` map alike, so a caller must refuse `@*`.
func ParseDestination(to string) Destination {
	to = strings.TrimSpace(to)
	if ref, ok := strings.CutPrefix(to, "@"); ok {
		return Destination{"topic", ref}
	}
	if to == "*" {
		return Destination{"topic", "*"}
	}
	return Destination{"dm", to}
}

// Request is what makes two send requests with one client message id the same request (daemon 11.3).
type Request struct {
	To       Destination
	ReplyTo  string // message id; empty when absent
	Priority string // now, next or low; empty means next
	Meta     []byte // JSON as received; empty and null mean absent
	Body     string
}

// Fingerprint is the SHA-256 of a Request, 32 bytes.
type Fingerprint [sha256.Size]byte

// envelopeVersion is the first part of every fingerprint.
const envelopeVersion = "1"

// Fingerprint hashes the seven parts of daemon 11.3. ErrMalformed when a part holds a NUL, which ends a
// part, or when Meta is refused by Canonical.
func (r Request) Fingerprint() (Fingerprint, error) {
	meta, err := canonicalMeta(r.Meta)
	if err != nil {
		return Fingerprint{}, err
	}
	priority := r.Priority
	if priority == "" {
		priority = "next"
	}
	h := sha256.New()
	for _, part := range []string{envelopeVersion, r.To.Kind, r.To.Ref, r.ReplyTo, priority, meta} {
		if strings.Contains(part, "\x00") {
			return Fingerprint{}, ErrMalformed
		}
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	body := sha256.Sum256([]byte(r.Body))
	h.Write(body[:])
	return Fingerprint(h.Sum(nil)), nil
}

func canonicalMeta(raw []byte) (string, error) {
	if len(raw) == 0 {
		return "", nil
	}
	text, err := Canonical(raw)
	if err != nil || string(text) == "null" {
		return "", err
	}
	return string(text), nil
}

// ParseFingerprint reads 64 lower-case hex characters; ErrMalformed otherwise.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	if err := decodeHex(f[:], s); err != nil {
		return Fingerprint{}, err
	}
	return f, nil
}

// String gives the 64 lower-case hex characters of the wire.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// Prefix gives the first 16 hex characters, as conflicts report it (daemon 11.4).
func (f Fingerprint) Prefix() string { return hex.EncodeToString(f[:8]) }

// Equal compares in constant time (daemon 11.4).
func (f Fingerprint) Equal(other Fingerprint) bool {
	return subtle.ConstantTimeCompare(f[:], other[:]) == 1
}
