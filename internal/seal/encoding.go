package seal

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

var (
	stdBase64 = base64.StdEncoding.Strict()
	urlBase64 = base64.RawURLEncoding.Strict()
)

// Base64 writes b in the standard alphabet with padding, the wire form of nonces and boxes (crypto 1).
func Base64(b []byte) string { return stdBase64.EncodeToString(b) }

// ParseBase64 reads what Base64 writes and nothing else: padding is needed, line breaks and stray bits
// are refused with ErrMalformed.
func ParseBase64(s string) ([]byte, error) { return decodeBase64(stdBase64, s) }

// Base64URL writes b in the URL alphabet without padding, the form of root keys, claim keys and invite
// tokens (crypto 1).
func Base64URL(b []byte) string { return urlBase64.EncodeToString(b) }

// ParseBase64URL reads what Base64URL writes and nothing else; ErrMalformed otherwise.
func ParseBase64URL(s string) ([]byte, error) { return decodeBase64(urlBase64, s) }

// decodeBase64 compares lengths because the decoder, strict or not, skips line breaks.
func decodeBase64(enc *base64.Encoding, s string) ([]byte, error) {
	b, err := enc.DecodeString(s)
	if err != nil || enc.EncodedLen(len(b)) != len(s) {
		return nil, ErrMalformed
	}
	return b, nil
}

// decodeHex fills dst from s, which must be exactly that long and in lower case.
func decodeHex(dst []byte, s string) error {
	if len(s) != hex.EncodedLen(len(dst)) || strings.ContainsAny(s, "ABCDEF") {
		return ErrMalformed
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return ErrMalformed
	}
	return nil
}
