package trust

import (
	"context"
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// ReceiptProof is what the proof of a receipt shows.
type ReceiptProof struct {
	Known  bool      // the key is of a member who was met before, or of a session that such a one vouched for
	Signed time.Time // by the reader's clock
}

// ProveReceipt checks what a reader signed (design D5): that the key of the recipient signed this state of this message
// for its sender, who is us. own is our member key in this mesh. What the key is worth where nothing was sealed for it is
// what Known says. The error says why nothing is proved.
func ProveReceipt(ctx context.Context, p *Pins, own mesh.Key, r protocol.Receipt) (ReceiptProof, error) {
	var none ReceiptProof
	if r.Proof == nil || r.ClientMessageID == "" {
		return none, mesh.Errorf(mesh.BadSignature, "the receipt has no proof")
	}
	var proof protocol.ReceiptProof
	if err := wire.Decode(r.Proof, &proof); err != nil {
		return none, err
	}
	out := ReceiptProof{Signed: time.UnixMilli(proof.At)}
	if out.Signed.Sub(p.opt.Now()) > maxAhead {
		return none, mesh.Errorf(mesh.TimestampSkew, "the receipt is of another time")
	}
	if err := readBy(p.opt.MeshID, own, r, proof); err != nil {
		return none, err
	}
	if proof.Attestation == nil {
		out.Known = r.Recipient == own || p.Of(r.Recipient).Pinned
		return out, nil
	}
	v, sig, err := word(p.opt.MeshID, *proof.Attestation, r.Recipient, proof.Member)
	if err == nil {
		err = p.done.once(v, sig, func() error { return v.Binds(sig) })
	}
	if err != nil {
		return none, fmt.Errorf("attestation: %w", err)
	}
	p.mu.Lock()
	bound := p.bind(r.Recipient, proof.Member, p.opt.Now())
	p.mu.Unlock()
	p.keep(ctx)
	if !bound {
		return none, mesh.Errorf(mesh.BadSessionKey, "another member vouched for this session key before")
	}
	out.Known = proof.Member == own || p.Of(proof.Member).Pinned
	return out, nil
}

// readBy checks the reader's own signature.
func readBy(meshID mesh.ID, own mesh.Key, r protocol.Receipt, proof protocol.ReceiptProof) error {
	reader, err := seal.DecodePublicKey(string(r.Recipient))
	if err != nil {
		return err
	}
	sender, err := seal.DecodePublicKey(string(own))
	if err != nil {
		return err
	}
	sig, err := seal.ParseSignature(proof.Signature)
	if err != nil {
		return err
	}
	return seal.Receipt{
		MeshID: string(meshID), ClientID: string(r.ClientMessageID), Sender: sender, Reader: reader,
		State: string(r.State), At: time.UnixMilli(proof.At),
	}.Verify(sig)
}
