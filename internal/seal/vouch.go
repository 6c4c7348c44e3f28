package seal

import "time"

// VouchLimit is the longest life of a Vouch.
const VouchLimit = 10 * time.Minute

// Vouch is a member's word that a session key is its own, version 2 of Attestation: for one mesh, at one broker, and for
// a short time (design C4).
type Vouch struct {
	Host      string // as for MeshCreate
	MeshID    string
	Member    PublicKey
	Session   PublicKey
	NotBefore time.Time
	ExpiresAt time.Time
}

// Sign signs with the member key, which must be Member; ErrMalformed otherwise.
func (v Vouch) Sign(member SecretKey) (Signature, error) { return member.sign(v.Member, v.text()) }

// Verify checks that the word holds at a time, NotBefore <= at < ExpiresAt, with Skew of grace before it (ErrSkew,
// ErrExpired), and then what Binds checks.
func (v Vouch) Verify(sig Signature, at time.Time) error {
	if err := v.Holds(at); err != nil {
		return err
	}
	return v.Binds(sig)
}

// Holds checks the time alone: what Verify checks anew of a word that it once let pass.
func (v Vouch) Holds(at time.Time) error {
	at = at.Truncate(time.Millisecond)
	switch {
	case at.Before(v.NotBefore.Truncate(time.Millisecond).Add(-Skew)):
		return ErrSkew
	case !v.ExpiresAt.Truncate(time.Millisecond).After(at):
		return ErrExpired
	}
	return nil
}

// Binds checks that the word was given at all: its span is no longer than VouchLimit (ErrLifetime, or ErrMalformed when it
// ends before it begins), and the member key signed it. Whose a session key is does not change when the word is over.
func (v Vouch) Binds(sig Signature) error {
	switch span := v.ExpiresAt.Truncate(time.Millisecond).Sub(v.NotBefore.Truncate(time.Millisecond)); {
	case span <= 0:
		return ErrMalformed
	case span > VouchLimit:
		return ErrLifetime
	}
	return v.Member.verify(v.text(), sig)
}

// Word is what a vouch that was verified is remembered by.
func (v Vouch) Word(sig Signature) Word { return wordOf(v.text(), sig) }

func (v Vouch) text() []byte {
	return prefixedText(domainVouch,
		v.Host, v.MeshID, v.Member.String(), v.Session.String(), milliseconds(v.NotBefore), milliseconds(v.ExpiresAt))
}
