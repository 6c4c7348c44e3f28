package trust

import (
	"errors"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// read is a receipt that a peer signed for us, as its session or its member.
func (p peer) read(session bool, at time.Time, edit func(*protocol.Receipt, *protocol.ReceiptProof)) protocol.Receipt {
	secret, proof := p.member, protocol.ReceiptProof{At: at.UnixMilli()}
	if session {
		secret, proof.Member, proof.Attestation = p.session, key(p.member), p.vouch(at)
	}
	sender, err := seal.DecodePublicKey(string(ours))
	if err != nil {
		panic(err)
	}
	r := protocol.Receipt{Seq: 1, ClientMessageID: "c1", Recipient: key(secret), State: mesh.StateSurfaced}
	sig, err := seal.Receipt{MeshID: string(team), ClientID: "c1", Sender: sender, Reader: secret.Public(), State: "surfaced", At: at}.Sign(secret)
	if err != nil {
		panic(err)
	}
	proof.Signature = sig.String()
	if edit != nil {
		edit(&r, &proof)
	}
	if r.Proof, err = wire.Encode(proof); err != nil {
		panic(err)
	}
	return r
}

var ours = key(seal.NewSecretKey())

func TestReceiptsProve(t *testing.T) {
	t.Parallel()
	d := open(t)
	ben, eve := newPeer("ben"), newPeer("eve")
	d.see(ben.row("ben"))
	for name, c := range map[string]struct {
		receipt protocol.Receipt
		known   bool
	}{
		"a member that was met": {ben.read(false, noon, nil), true}, "its session": {ben.read(true, noon, nil), true},
		"a stranger": {eve.read(false, noon, nil), false}, "a stranger's session": {eve.read(true, noon, nil), false},
		"long ago": {ben.read(true, noon.Add(-20*24*time.Hour), nil), true},
	} {
		got, err := ProveReceipt(t.Context(), d.Pins, ours, c.receipt)
		if err != nil || got.Known != c.known || got.Signed.IsZero() {
			t.Errorf("%s: got %+v, %v, want it proved, known %t", name, got, err, c.known)
		}
	}
}

func TestReceiptsRefuse(t *testing.T) {
	t.Parallel()
	d := open(t)
	ben, eve := newPeer("ben"), newPeer("eve")
	d.see(ben.row("ben"), eve.row("eve"))
	type edit func(*protocol.Receipt, *protocol.ReceiptProof)
	for name, edit := range map[string]edit{
		"another message":       func(r *protocol.Receipt, _ *protocol.ReceiptProof) { r.ClientMessageID = "c2" },
		"no message":            func(r *protocol.Receipt, _ *protocol.ReceiptProof) { r.ClientMessageID = "" },
		"another state":         func(r *protocol.Receipt, _ *protocol.ReceiptProof) { r.State = mesh.StateAcknowledged },
		"another reader":        func(r *protocol.Receipt, _ *protocol.ReceiptProof) { r.Recipient = key(eve.session) },
		"another time":          func(_ *protocol.Receipt, p *protocol.ReceiptProof) { p.At++ },
		"no signature":          func(_ *protocol.Receipt, p *protocol.ReceiptProof) { p.Signature = "" },
		"another member":        func(_ *protocol.Receipt, p *protocol.ReceiptProof) { p.Member = key(eve.member) },
		"vouched for by others": func(_ *protocol.Receipt, p *protocol.ReceiptProof) { p.Attestation = eve.vouch(noon) },
		"vouched for too long":  func(_ *protocol.Receipt, p *protocol.ReceiptProof) { p.Attestation.ExpiresAt += 3600_000 },
	} {
		if got, err := ProveReceipt(t.Context(), d.Pins, ours, ben.read(true, noon, edit)); err == nil {
			t.Errorf("%s: got %+v and no error", name, got)
		}
	}
	if _, err := ProveReceipt(t.Context(), d.Pins, key(eve.member), ben.read(false, noon, nil)); !errors.Is(err, seal.ErrSignature) {
		t.Errorf("for another sender: got %v, want %v", err, seal.ErrSignature)
	}
	if _, err := ProveReceipt(t.Context(), d.Pins, ours, ben.read(false, noon.Add(48*time.Hour), nil)); !mesh.IsCode(err, mesh.TimestampSkew) {
		t.Errorf("of the day after tomorrow: got %v, want %s", err, mesh.TimestampSkew)
	}
	taken := newPeer("taken")
	taken.session = ben.session
	if _, err := ProveReceipt(t.Context(), d.Pins, ours, ben.read(true, noon, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := ProveReceipt(t.Context(), d.Pins, ours, taken.read(true, noon, nil)); !mesh.IsCode(err, mesh.BadSessionKey) {
		t.Errorf("a session that another member vouched for: got %v, want %s", err, mesh.BadSessionKey)
	}
}
