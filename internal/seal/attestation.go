package seal

import "time"

// AttestationLifetime is how long a new attestation lives, and AttestationLimit the longest that is
// accepted, inclusive (crypto 2).
const (
	AttestationLifetime = 12 * time.Hour
	AttestationLimit    = 24 * time.Hour
)

// Attestation is a member's word that a session key is its own (daemon 18.3):
// `claudemesh-session-attest|parentPub|sessionPub|expiresAtMs`.
type Attestation struct {
	Parent    PublicKey
	Session   PublicKey
	ExpiresAt time.Time
}

// Sign signs with the member key, which must be Parent; ErrMalformed otherwise.
func (a Attestation) Sign(parent SecretKey) (Signature, error) {
	text, err := a.text()
	if err != nil {
		return Signature{}, err
	}
	return parent.sign(a.Parent, text)
}

// Verify checks the window, now < ExpiresAt <= now + AttestationLimit (ErrExpired, ErrLifetime), then the
// signature by the parent key.
func (a Attestation) Verify(sig Signature, now time.Time) error {
	text, err := a.text()
	if err != nil {
		return err
	}
	if err := a.Holds(now); err != nil {
		return err
	}
	return a.Parent.verify(text, sig)
}

// Holds checks the window alone: what Verify checks anew of an attestation that it once let pass.
func (a Attestation) Holds(now time.Time) error {
	end, now := a.ExpiresAt.Truncate(time.Millisecond), now.Truncate(time.Millisecond)
	switch {
	case !end.After(now):
		return ErrExpired
	case end.Sub(now) > AttestationLimit:
		return ErrLifetime
	}
	return nil
}

// Word is what an attestation that was verified is remembered by.
func (a Attestation) Word(sig Signature) (Word, error) {
	text, err := a.text()
	if err != nil {
		return Word{}, err
	}
	return wordOf(text, sig), nil
}

func (a Attestation) text() ([]byte, error) {
	return pipeText("claudemesh-session-attest", a.Parent.String(), a.Session.String(), milliseconds(a.ExpiresAt))
}
