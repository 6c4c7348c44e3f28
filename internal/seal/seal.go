// Package seal holds the keys, signatures, boxes and fingerprints of the product as functions on bytes.
// It reads and writes nothing but crypto/rand; the time comes from the caller. Every length is checked
// before use and every refusal is an error, never a panic. The constructions are those of crypto.md;
// testdata/vectors.json holds their known answers.
package seal

import (
	"errors"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// The refusals, one per reason; mesh.CodeOf gives the word of the wire. ErrOpen is the only answer to a box
// that does not open, whatever the cause (design F5).
var (
	// ErrMalformed is a wrong length, alphabet, encoding or field text.
	ErrMalformed error = &mesh.Error{Code: mesh.Malformed, Err: errors.New("malformed key, signature or signed text")}
	// ErrWeakKey is a well-formed key that no honest key maker makes: outside the prime-order subgroup.
	ErrWeakKey error = &mesh.Error{Code: mesh.WeakKey, Err: errors.New("weak key")}
	// ErrSignature is a well-formed signature that the key did not make over this text.
	ErrSignature error = &mesh.Error{Code: mesh.BadSignature, Err: errors.New("the signature does not match")}
	// ErrSkew is a text signed too long ago or too far ahead.
	ErrSkew error = &mesh.Error{Code: mesh.TimestampSkew, Err: errors.New("signed at another time than now")}
	// ErrExpired is an attestation past its end.
	ErrExpired error = &mesh.Error{Code: mesh.AttestationExpired, Err: errors.New("the attestation is past its end")}
	// ErrLifetime is an attestation that ends later than any may.
	ErrLifetime error = &mesh.Error{Code: mesh.AttestationTooLong, Err: errors.New("the attestation lives too long")}
	// ErrOpen is a box that none of the keys opens.
	ErrOpen error = &mesh.Error{Code: mesh.Undecryptable, Err: errors.New("no key opens it")}
)
