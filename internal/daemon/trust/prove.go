package trust

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// How far the signed time of a message may lie from now. An inbox forgets messages after 30 days, and would take an older
// one for new when it comes again.
const (
	maxAge   = 29 * 24 * time.Hour
	maxAhead = 24 * time.Hour
)

// Prove checks the proof of a message (design C8): that the key of its sender signed it as it is, for this mesh and one
// of our keys, and that the member it is said to be of vouched for that key. It returns the proof. What the proof shows of a pinned member is remembered. Whether the member
// itself is known is another question: see Of. The error says why nothing is proved.
func (p *Pins) Prove(ctx context.Context, msg protocol.PushedMessage, mine func(mesh.Key) bool) (protocol.SenderProof, error) {
	var none protocol.SenderProof
	if msg.Auth == nil {
		return none, errNoProof
	}
	var proof protocol.SenderProof
	if err := wire.Decode(msg.Auth, &proof); err != nil {
		return none, err
	}
	if err := fits(p.opt.Now(), msg, proof, mine); err != nil {
		return none, err
	}
	features := []string{protocol.CapSenderProof}
	session := msg.SenderPubkey != msg.SenderMemberPubkey
	if session {
		features = append(features, protocol.CapAuth)
		if err := p.vouched(msg, proof); err != nil {
			return none, fmt.Errorf("attestation: %w", err)
		}
	}
	if err := signed(p.opt.MeshID, msg, proof); err != nil {
		return none, err
	}
	now := p.opt.Now()
	p.mu.Lock()
	bound := !session || p.bind(msg.SenderPubkey, msg.SenderMemberPubkey, now)
	if bound {
		p.learn(msg.SenderMemberPubkey, features...)
	}
	p.mu.Unlock()
	p.keep(ctx)
	if !bound {
		return none, mesh.Errorf(mesh.BadSessionKey, "another member vouched for this session key before")
	}
	return proof, nil
}

var errNoProof = mesh.Errorf(mesh.BadSignature, "the message has no proof")

// fits checks what needs no signature.
func fits(now time.Time, msg protocol.PushedMessage, proof protocol.SenderProof, mine func(mesh.Key) bool) error {
	age := now.Sub(time.UnixMilli(proof.SentAt))
	switch {
	case msg.Subtype != "":
		return mesh.Errorf(mesh.BadSignature, "no peer sends messages of the kind %.40q", msg.Subtype)
	case msg.ClientMessageID == "":
		return mesh.Errorf(mesh.BadSignature, "the message has lost its id")
	case mesh.IsKey(msg.TargetSpec) && !mine(mesh.Key(msg.TargetSpec)):
		return mesh.Errorf(mesh.BadSignature, "the message was for somebody else")
	case proof.Name != "" && mesh.CheckName(proof.Name) != nil:
		return mesh.Errorf(mesh.BadName, "the name of the sender is none")
	case age > maxAge || age < -maxAhead:
		return mesh.Errorf(mesh.TimestampSkew, "the message is of another time")
	}
	return nil
}

// vouched checks the member's word for the session that sent a message: it must hold for the time of sending.
func (p *Pins) vouched(msg protocol.PushedMessage, proof protocol.SenderProof) error {
	if proof.Attestation == nil {
		return mesh.Errorf(mesh.AttestationMismatch, "there is none")
	}
	v, sig, err := word(p.opt.MeshID, *proof.Attestation, msg.SenderPubkey, msg.SenderMemberPubkey)
	if err != nil {
		return err
	}
	at := time.UnixMilli(proof.SentAt)
	if at.Before(v.NotBefore) || !at.Before(v.ExpiresAt) { // the same clock wrote all three
		return seal.ErrExpired
	}
	return p.done.once(v, sig, func() error { return v.Binds(sig) })
}

// signed checks the sender's own signature.
func signed(meshID mesh.ID, msg protocol.PushedMessage, proof protocol.SenderProof) error {
	sender, err := seal.DecodePublicKey(string(msg.SenderPubkey))
	if err != nil {
		return err
	}
	sig, err := seal.ParseSignature(proof.Signature)
	if err != nil {
		return err
	}
	content, err := seal.Sealed{Nonce: msg.Nonce, Ciphertext: msg.Ciphertext}.HashContent()
	if err != nil {
		return err
	}
	return seal.Proof{
		MeshID: string(meshID), Target: msg.TargetSpec, ClientID: string(msg.ClientMessageID), ReplyTo: msg.ReplyToID,
		Priority: string(msg.Priority), Name: proof.Name, SentAt: time.UnixMilli(proof.SentAt), Content: content,
	}.Verify(sender, sig)
}

// maxChecked bounds the attestations that are remembered as good; at the bound all are forgotten, and checked again.
const maxChecked = 4096

// checked remembers attestations whose signature was good: one stands in every message of ten minutes.
type checked struct {
	mu   sync.Mutex
	good map[signedWord]bool
}

// signedWord is an attestation in a form that can be compared.
type signedWord struct {
	host, mesh      string
	member, session seal.PublicKey
	from, to        int64
	sig             seal.Signature
}

func newChecked() *checked { return &checked{good: map[signedWord]bool{}} }

// once runs a check, unless it was good before.
func (c *checked) once(v seal.Vouch, sig seal.Signature, check func() error) error {
	key := signedWord{v.Host, v.MeshID, v.Member, v.Session, v.NotBefore.UnixMilli(), v.ExpiresAt.UnixMilli(), sig}
	c.mu.Lock()
	good := c.good[key]
	c.mu.Unlock()
	if good {
		return nil
	}
	if err := check(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.good) >= maxChecked {
		clear(c.good)
	}
	c.good[key] = true
	return nil
}
