package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Proof is what the sender of a message signs with the key that it sends as, so that no broker can put a message into
// its mouth, change what stands around it, or send it somewhere else (design C8).
type Proof struct {
	MeshID   string
	Target   string // targetSpec as it was sent
	ClientID string
	ReplyTo  string // message id; empty when absent
	Priority string // now, next or low
	Name     string // of the sending session; empty for the member itself
	SentAt   time.Time
	Content  [sha256.Size]byte // ContentHash of the message
}

// ContentHash is the SHA-256 of nonce ‖ ciphertext, both as bytes. The nonce has its full length also where it is only
// filler: where it ends must not be the broker's choice.
func ContentHash(n Nonce, ciphertext []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(n[:])
	h.Write(ciphertext)
	return [sha256.Size]byte(h.Sum(nil))
}

// HashContent is the ContentHash of a message in its wire form; ErrMalformed when it is none.
func (s Sealed) HashContent() ([sha256.Size]byte, error) {
	n, err := ParseNonce(s.Nonce)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	ciphertext, err := ParseBase64(s.Ciphertext)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return ContentHash(n, ciphertext), nil
}

// Sign signs with the sender's key. ErrMalformed for a zero key.
func (p Proof) Sign(sender SecretKey) (Signature, error) {
	return sender.sign(sender.Public(), p.text())
}

// Verify checks the signature by the sender's key. Whose key that is, and whether SentAt makes sense, is the caller's
// question.
func (p Proof) Verify(sender PublicKey, sig Signature) error { return sender.verify(p.text(), sig) }

func (p Proof) text() []byte {
	return prefixedText(domainProof,
		p.MeshID, p.Target, p.ClientID, p.ReplyTo, p.Priority, p.Name, milliseconds(p.SentAt), hex.EncodeToString(p.Content[:]))
}
