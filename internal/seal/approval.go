package seal

import (
	"encoding/hex"
	"time"
)

// ApprovalLimit is the longest life of an Approval.
const ApprovalLimit = 5 * time.Minute

// The decisions of an Approval.
const (
	ApprovalAllow = "allow"
	ApprovalDeny  = "deny"
)

// Approval is a human's answer to one question of a host session whether it may use a tool, signed with the member key of
// the device on which it was given. It is worth nothing for another mesh, session, question, tool or input.
type Approval struct {
	MeshID    string
	Session   PublicKey // that asks, in this mesh
	Nonce     string    // of the question: random, used once
	Tool      string    // as the host calls it
	Input     [32]byte  // SHA-256 of the whole input of the tool, in its canonical form
	Decision  string    // allow or deny
	ExpiresAt time.Time // of the question
	Signer    PublicKey // member key of who answers
}

// Sign signs with the member key, which must be Signer; ErrMalformed otherwise.
func (a Approval) Sign(member SecretKey) (Signature, error) { return member.sign(a.Signer, a.text()) }

// Verify checks that the answer is one, that it holds at a time, ErrExpired once it is over, and that Signer signed it. An
// answer that would hold for longer than ApprovalLimit is ErrExpired, too: no honest question does. Whose key Signer is,
// and whether the question is still open, is the caller's question.
func (a Approval) Verify(sig Signature, at time.Time) error {
	switch left := a.ExpiresAt.Sub(at); {
	case a.Decision != ApprovalAllow && a.Decision != ApprovalDeny:
		return ErrMalformed
	case left <= 0 || left > ApprovalLimit:
		return ErrExpired
	}
	return a.Signer.verify(a.text(), sig)
}

func (a Approval) text() []byte {
	return prefixedText(domainApproval, a.MeshID, a.Session.String(), a.Nonce, a.Tool, hex.EncodeToString(a.Input[:]), a.Decision,
		milliseconds(a.ExpiresAt), a.Signer.String())
}
