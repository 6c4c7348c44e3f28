package seal

import "time"

// Hello is what a member signs to open a connection, version 1 (crypto 2):
// `meshId|memberId|pubkey|timestampMs`.
type Hello struct {
	MeshID   string
	MemberID string
	Member   PublicKey
	At       time.Time
}

// Sign signs with the member key, which must be Member; ErrMalformed otherwise.
func (h Hello) Sign(member SecretKey) (Signature, error) {
	text, err := h.text()
	if err != nil {
		return Signature{}, err
	}
	return member.sign(h.Member, text)
}

// Verify checks the fields, then At against now (ErrSkew), then the signature (ErrSignature). The caller
// keeps the replay cache (design C4).
func (h Hello) Verify(sig Signature, now time.Time) error {
	text, err := h.text()
	if err != nil {
		return err
	}
	if err := checkSkew(h.At, now); err != nil {
		return err
	}
	return h.Member.verify(text, sig)
}

func (h Hello) text() ([]byte, error) {
	return pipeText(h.MeshID, h.MemberID, h.Member.String(), milliseconds(h.At))
}

// SessionHello is what a session signs to open its own connection (daemon 18.3):
// `claudemesh-session-hello|meshId|parentPub|sessionPub|timestampMs`. It counts only together with an
// Attestation of the same two keys.
type SessionHello struct {
	MeshID  string
	Parent  PublicKey
	Session PublicKey
	At      time.Time
}

// Sign signs with the session key, which must be Session; ErrMalformed otherwise.
func (h SessionHello) Sign(session SecretKey) (Signature, error) {
	text, err := h.text()
	if err != nil {
		return Signature{}, err
	}
	return session.sign(h.Session, text)
}

// Verify checks the fields, then At against now (ErrSkew), then the signature by the session key.
func (h SessionHello) Verify(sig Signature, now time.Time) error {
	text, err := h.text()
	if err != nil {
		return err
	}
	if err := checkSkew(h.At, now); err != nil {
		return err
	}
	return h.Session.verify(text, sig)
}

func (h SessionHello) text() ([]byte, error) {
	return pipeText("claudemesh-session-hello", h.MeshID, h.Parent.String(), h.Session.String(), milliseconds(h.At))
}
