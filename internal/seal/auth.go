package seal

import (
	"crypto/rand"
	"encoding/hex"
)

// Challenge is what a broker sends with the upgrade of a connection, for its hello to be signed with: 32 bytes, used
// once (design C4).
type Challenge [32]byte

// NewChallenge draws a challenge from crypto/rand.
func NewChallenge() Challenge {
	var c Challenge
	_, _ = rand.Read(c[:]) // crypto/rand never returns an error
	return c
}

// ParseChallenge reads 64 lower-case hex characters; ErrMalformed otherwise, and for the zero challenge, which nobody
// draws.
func ParseChallenge(s string) (Challenge, error) {
	var c Challenge
	if err := decodeHex(c[:], s); err != nil {
		return Challenge{}, err
	}
	if c == (Challenge{}) {
		return Challenge{}, ErrMalformed
	}
	return c, nil
}

// String gives 64 lower-case hex characters.
func (c Challenge) String() string { return hex.EncodeToString(c[:]) }

// Auth is what the member key and, where there is one, the session key both sign to open a connection, version 2
// (design C4). It needs no time: the challenge is new with each connection, and Host makes it worthless elsewhere.
type Auth struct {
	Host      string // as for MeshCreate
	MeshID    string
	MemberID  string
	Member    PublicKey
	Session   PublicKey // zero for a connection without a session
	Challenge Challenge
}

// Sign signs with key, which must be Member or Session; ErrMalformed otherwise.
func (a Auth) Sign(key SecretKey) (Signature, error) {
	signer := a.Member
	if !a.Session.IsZero() && key.Public() == a.Session {
		signer = a.Session
	}
	return key.sign(signer, a.text())
}

// VerifyMember checks the signature by the member key.
func (a Auth) VerifyMember(sig Signature) error { return a.Member.verify(a.text(), sig) }

// VerifySession checks the signature by the session key; without one nothing verifies.
func (a Auth) VerifySession(sig Signature) error { return a.Session.verify(a.text(), sig) }

func (a Auth) text() []byte {
	session := ""
	if !a.Session.IsZero() {
		session = a.Session.String()
	}
	return prefixedText(domainAuth, a.Host, a.MeshID, a.MemberID, a.Member.String(), session, a.Challenge.String())
}
