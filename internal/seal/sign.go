package seal

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Signature is an ed25519 signature, 64 bytes.
type Signature [ed25519.SignatureSize]byte

// ParseSignature reads 128 lower-case hex characters; ErrMalformed otherwise.
func ParseSignature(s string) (Signature, error) {
	var sig Signature
	if err := decodeHex(sig[:], s); err != nil {
		return Signature{}, err
	}
	return sig, nil
}

// String gives 128 lower-case hex characters.
func (s Signature) String() string { return hex.EncodeToString(s[:]) }

// Skew is how far a signed time may lie from the reader's clock, in both directions and inclusive (crypto 2).
const Skew = 60 * time.Second

// checkSkew compares whole milliseconds, as the signed text has no finer ones.
func checkSkew(signed, now time.Time) error {
	d := signed.Truncate(time.Millisecond).Sub(now.Truncate(time.Millisecond))
	if d < -Skew || d > Skew {
		return ErrSkew
	}
	return nil
}

// sign signs text for the key that the text names: a signature by another would never verify.
func (k SecretKey) sign(signer PublicKey, text []byte) (Signature, error) {
	if k.IsZero() || k.Public() != signer {
		return Signature{}, ErrMalformed
	}
	return Signature(ed25519.Sign(k.key().sign, text)), nil
}

// verify checks sig over text and refuses weak keys, which crypto/ed25519 accepts.
func (k PublicKey) verify(text []byte, sig Signature) error {
	if k.sound() && ed25519.Verify(k[:], text, sig[:]) { // it refuses what is on no point
		return nil
	}
	if _, err := k.point(); err != nil {
		return err
	}
	return ErrSignature
}

// Word is a digest of a signed text, which names its signer, and the signature: it tells a text that was verified before
// from every other.
type Word [sha256.Size]byte

func wordOf(text []byte, sig Signature) Word {
	return sha256.Sum256(append(text, sig[:]...)) // the signature has one length
}

// pipeText joins the fields of a version 1 text. A field with the separator inside could be read as two, so
// it is ErrMalformed: these texts have no other protection (crypto 2).
func pipeText(fields ...string) ([]byte, error) {
	for _, f := range fields {
		if strings.Contains(f, "|") {
			return nil, ErrMalformed
		}
	}
	return []byte(strings.Join(fields, "|")), nil
}

// prefixedText is the form of all later texts: a domain line, then each field after its length as a
// big-endian u32. No field can be read as another, and no text as one of another domain (design C1).
func prefixedText(domain string, fields ...string) []byte {
	text := []byte(domain + "\n")
	for _, f := range fields {
		text = binary.BigEndian.AppendUint32(text, uint32(len(f)))
		text = append(text, f...)
	}
	return text
}

func milliseconds(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
