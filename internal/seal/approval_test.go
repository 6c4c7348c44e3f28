package seal

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"
)

// An approval holds for what it says and nothing else, and for five minutes at most.
func TestApproval(t *testing.T) {
	t.Parallel()
	session, signer, other := NewSecretKey(), NewSecretKey(), NewSecretKey()
	now := time.UnixMilli(1_700_000_000_123)
	good := Approval{
		MeshID: "m1", Session: session.Public(), Nonce: "n1", Tool: "Bash", Input: sha256.Sum256([]byte(`{"command":"ls"}`)), Decision: ApprovalAllow,
		ExpiresAt: now.Add(ApprovalLimit), Signer: signer.Public(),
	}
	sig, err := good.Sign(signer)
	if err != nil || good.Verify(sig, now) != nil {
		t.Fatalf("got %v, %v, want a signature that holds", err, good.Verify(sig, now))
	}
	if _, err := good.Sign(other); !errors.Is(err, ErrMalformed) {
		t.Errorf("signed by another: got %v, want %v", err, ErrMalformed)
	}
	for name, edit := range map[string]func(*Approval){
		"another mesh":      func(a *Approval) { a.MeshID = "m2" },
		"another session":   func(a *Approval) { a.Session = other.Public() },
		"another question":  func(a *Approval) { a.Nonce = "n2" },
		"another tool":      func(a *Approval) { a.Tool = "Write" },
		"another input":     func(a *Approval) { a.Input[31]++ },
		"another decision":  func(a *Approval) { a.Decision = ApprovalDeny },
		"another time":      func(a *Approval) { a.ExpiresAt = a.ExpiresAt.Add(-time.Millisecond) },
		"another signer":    func(a *Approval) { a.Signer = other.Public() },
		"exchanged parties": func(a *Approval) { a.Session, a.Signer = a.Signer, a.Session },
		"moved border":      func(a *Approval) { a.Nonce, a.Tool = "n1B", "ash" },
	} {
		changed := good
		edit(&changed)
		if err := changed.Verify(sig, now); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v, want %v", name, err, ErrSignature)
		}
	}
	for name, at := range map[string]time.Time{
		"at its end": good.ExpiresAt, "later": now.Add(time.Hour), "with a clock that was set back": now.Add(-time.Millisecond),
	} {
		if err := good.Verify(sig, at); !errors.Is(err, ErrExpired) {
			t.Errorf("%s: got %v, want %v", name, err, ErrExpired)
		}
	}
	word := good
	word.Decision = "always"
	if sig, err = word.Sign(signer); err != nil || !errors.Is(word.Verify(sig, now), ErrMalformed) {
		t.Errorf("another word: got %v and %v, want %v", err, word.Verify(sig, now), ErrMalformed)
	}
}
