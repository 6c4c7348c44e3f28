package daemon

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
)

// newToken makes 32 random bytes as base64url (daemon 2.1).
func newToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func trim(data []byte) []byte { return bytes.TrimSpace(data) }
