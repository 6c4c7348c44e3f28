package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// The domain lines of the signed texts with length-prefixed fields. Their fields are the strings that also
// travel in JSON: keys, hashes and nonces in lower hex, X25519 keys in base64url, times as decimal milliseconds. Host is always the lower-case `host:port` of the URL that was dialled (design C1).
const (
	domainMeshCreate = "claudemesh-mesh-create-v1"
	domainClaim      = "claudemesh-claim-v2"
	domainOperation  = "claudemesh-operation-v1"
	domainAuth       = "claudemesh-auth-v2"
	domainVouch      = "claudemesh-session-attest-v2"
	domainProof      = "claudemesh-sender-proof-v1"
	domainReceipt    = "claudemesh-receipt-v1"
	domainApproval   = "claudemesh-approval-v1"
)

// MeshCreate is what the owner key and the first member key both sign to make a mesh (design C1).
type MeshCreate struct {
	Host      string
	Slug      string // empty when the broker is to choose
	Owner     PublicKey
	Member    PublicKey
	CreatedAt time.Time
}

// Sign signs with key, which must be Owner or Member; ErrMalformed otherwise.
func (m MeshCreate) Sign(key SecretKey) (Signature, error) {
	signer := m.Owner
	if key.Public() == m.Member {
		signer = m.Member
	}
	return key.sign(signer, m.text())
}

// Verify checks CreatedAt against now (ErrSkew), then both signatures.
func (m MeshCreate) Verify(owner, member Signature, now time.Time) error {
	if err := checkSkew(m.CreatedAt, now); err != nil {
		return err
	}
	text := m.text()
	if err := m.Owner.verify(text, owner); err != nil {
		return err
	}
	return m.Member.verify(text, member)
}

func (m MeshCreate) text() []byte {
	return prefixedText(domainMeshCreate, m.Host, m.Slug, m.Owner.String(), m.Member.String(), milliseconds(m.CreatedAt))
}

// Claim is what a joiner signs with its new member key, the proof of an invite claim (design C3).
type Claim struct {
	Host      string
	CodeHash  [sha256.Size]byte // of the invite code
	Recipient X25519Public      // the root key comes sealed to it
	Peer      PublicKey
}

// CodeHash is the form in which brokers keep invite codes and tokens (design C3).
func CodeHash(code string) [sha256.Size]byte { return sha256.Sum256([]byte(code)) }

// Sign signs with the joiner's key, which must be Peer; ErrMalformed otherwise.
func (c Claim) Sign(peer SecretKey) (Signature, error) { return peer.sign(c.Peer, c.text()) }

// Verify checks the signature by the peer key.
func (c Claim) Verify(sig Signature) error { return c.Peer.verify(c.text(), sig) }

func (c Claim) text() []byte {
	return prefixedText(domainClaim, c.Host, hex.EncodeToString(c.CodeHash[:]), c.Recipient.String(), c.Peer.String())
}

// Operation is what the holder of an authority signs to use it on a mesh: invite, role, ban, rename, delete
// (design C1). Nonce and At stop replay: the broker remembers nonces for twice Skew.
type Operation struct {
	Host   string
	MeshID string
	Name   string            // the frame type, such as invite_create
	Args   [sha256.Size]byte // ArgsHash of everything the operation is told
	Nonce  string            // 32 random lower-case hex characters, used once
	At     time.Time
}

// ArgsHash is the SHA-256 of the canonical form of a JSON value. Beside what Canonical refuses, a number of
// 2^53 or more is ErrMalformed: two integers must not share one signature.
func ArgsHash(raw []byte) ([sha256.Size]byte, error) {
	text, err := canonical(raw, exactNumber)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(text), nil
}

// Sign signs with the holder's key. ErrMalformed when Nonce is not what it must be.
func (o Operation) Sign(holder SecretKey) (Signature, error) {
	text, err := o.text()
	if err != nil {
		return Signature{}, err
	}
	return holder.sign(holder.Public(), text)
}

// Verify checks Nonce, then At against now (ErrSkew), then the signature by the holder. Whether the holder
// has the authority, and whether the nonce is new, is the caller's question.
func (o Operation) Verify(holder PublicKey, sig Signature, now time.Time) error {
	text, err := o.text()
	if err != nil {
		return err
	}
	if err := checkSkew(o.At, now); err != nil {
		return err
	}
	return holder.verify(text, sig)
}

func (o Operation) text() ([]byte, error) {
	if err := decodeHex(make([]byte, 16), o.Nonce); err != nil {
		return nil, err
	}
	return prefixedText(domainOperation,
		o.Host, o.MeshID, o.Name, hex.EncodeToString(o.Args[:]), o.Nonce, milliseconds(o.At)), nil
}

// KeyPin is the text of the pin of a TLS key: base64url of the SHA-256 of its SubjectPublicKeyInfo in DER, 43
// characters (design C3).
func KeyPin(spki []byte) string {
	sum := sha256.Sum256(spki)
	return Base64URL(sum[:])
}

// OwnerFingerprint names the owner of a mesh in an invite link: the first 128 bits of
// SHA-256(mesh id ‖ owner key), 22 base64url characters (design C3).
func OwnerFingerprint(meshID string, owner PublicKey) string {
	sum := sha256.Sum256(append([]byte(meshID), owner[:]...))
	return Base64URL(sum[:16])
}
