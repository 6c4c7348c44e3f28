package attachment

import (
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// prove signs a message with the key that it is sent as, at the time of sending (design C8). The key of a session comes
// with its member's word for it. What is no message of ours has no proof, and is shown as claimed.
func (r route) prove(sender mesh.Key, req protocol.SendRequest) (wire.RawMessage, error) {
	content, err := seal.Sealed{Nonce: req.Nonce, Ciphertext: req.Ciphertext}.HashContent()
	if err != nil {
		return nil, nil // left by another program, whose nonce is only filler
	}
	now := r.opt.Now()
	proof, secret := protocol.SenderProof{SentAt: now.UnixMilli(), Receipts: r.Link.Has(protocol.CapReceipts)}, r.Mesh.Secret
	if sender != "" {
		s, name := r.Sessions.byKey(sender)
		if s == nil {
			return nil, mesh.Errorf(mesh.SessionOver, "the session that sealed the message has ended")
		}
		vouch, err := s.word.at(r.Attachment, s.Secret, now)
		if err != nil {
			return nil, err
		}
		secret, proof.Name, proof.Attestation = s.Secret, name, &vouch
	}
	sig, err := seal.Proof{
		MeshID: string(r.Mesh.ID), Target: req.TargetSpec, ClientID: string(req.ClientMessageID), ReplyTo: req.ReplyToID,
		Priority: string(req.Priority), Name: proof.Name, SentAt: time.UnixMilli(proof.SentAt), Content: content,
	}.Sign(secret)
	if err != nil {
		return nil, err
	}
	proof.Signature = sig.String()
	return wire.Encode(proof)
}

// vouchMargin is what is left of a member's word when a new one is signed.
const vouchMargin = time.Minute

// word is the member's word for a session of its own, signed anew when it runs out.
type word struct {
	mu   sync.Mutex
	last protocol.Vouch
}

// at gives a word that holds now.
func (w *word) at(a *Attachment, session seal.SecretKey, now time.Time) (protocol.Vouch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ms := now.UnixMilli()
	if w.last.NotBefore <= ms && ms < w.last.ExpiresAt-vouchMargin.Milliseconds() {
		return w.last, nil
	}
	host, err := uplink.Host(a.Mesh.BrokerURL)
	if err != nil {
		return protocol.Vouch{}, err
	}
	id := uplink.Identity{MeshID: a.Mesh.ID, MemberID: a.Mesh.MemberID, Member: a.Mesh.Secret, Session: session}
	v, err := id.Vouch(host, now)
	if err == nil {
		w.last = v
	}
	return v, err
}
