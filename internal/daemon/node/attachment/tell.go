package attachment

import (
	"context"
	"errors"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// teller tells the senders of messages that came here, with the reader's signature, that they were shown or acknowledged.
// What is to be told stands in the inbox: it is signed at once, while the session that read it is there, and sent when
// the broker takes it.
type teller struct{ at *Attachment }

func (t teller) notices() inbox.Notices { return inbox.NoticesOf(t.at.opt.Inbox) }

const (
	tellPage  = 100              // notices that are read at once
	tellTime  = 10 * time.Second // bounds one question to the broker
	tellPause = 10 * time.Second // after one that failed
)

// run tells until ctx ends.
func (t teller) run(ctx context.Context) error {
	for {
		more, moved := t.notices().ToTell(), t.at.wake.Wait()
		var again <-chan time.Time
		if err := t.tellAll(ctx); err != nil && ctx.Err() == nil {
			t.at.opt.Log.Info("receipts not told", logkey.Mesh, t.at.Mesh.Slug, logkey.Err, err)
			again = time.After(tellPause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-more:
		case <-moved:
		case <-again:
		}
	}
}

// tellAll goes once through what is to be told. What cannot be told yet stays; the error is the first that may pass.
func (t teller) tellAll(ctx context.Context) error {
	var failed error
	for after := (inbox.Notice{}); ; {
		page, err := t.notices().DueIn(ctx, t.at.Mesh.ID, after, tellPage)
		if err != nil || len(page) == 0 {
			return errors.Join(failed, err)
		}
		for _, n := range page {
			if err := t.tell(ctx, n); err != nil && failed == nil {
				failed = err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			after = n
		}
	}
}

// tell brings one notice further: it is decided on, signed, sent.
func (t teller) tell(ctx context.Context, n inbox.Notice) error {
	if n.Proof == "" {
		if n.Fate = t.at.FateOf(n.Row, n.Reply); n.Fate == inbox.Due {
			proof, err := t.sign(n)
			if err != nil || proof == "" {
				return err
			}
			n.Proof = proof
		}
		if err := t.notices().Settle(ctx, n); err != nil || n.Fate != inbox.Due {
			return err
		}
	}
	var err error
	if n.Fate, err = t.send(ctx, n); n.Fate == inbox.Due {
		return err
	}
	return t.notices().Settle(ctx, n)
}

// send hands a receipt to the broker. It stays due without a connection, with a broker that takes none, and where another
// try may help: then the error says why.
func (t teller) send(ctx context.Context, n inbox.Notice) (inbox.Fate, error) {
	if t.at.Link.Peer() == nil || !t.at.Link.Has(protocol.CapReceipts) {
		return inbox.Due, nil
	}
	_, err := Ask(ctx, t.at, tellTime, protocol.TellReceipt, protocol.TellRequest{
		MessageID: n.BrokerID, Recipient: n.Recipient, State: n.State, Proof: wire.RawMessage(n.Proof),
	})
	switch code := mesh.CodeOf(err); {
	case err == nil:
		return inbox.Told, nil
	case ctx.Err() != nil, code.Retryable():
		return inbox.Due, err
	default:
		t.at.opt.Log.Info("receipt refused", logkey.Mesh, t.at.Mesh.Slug, logkey.MessageID, string(n.BrokerID), logkey.Code, string(code))
		return inbox.Refused, nil
	}
}

// FateOf says whether the sender of a message is told what becomes of it (design D5): due, or why not. reply: it is sent
// an answer, which tells it as much.
func (a *Attachment) FateOf(r inbox.Row, reply bool) inbox.Fate {
	sender := a.Roster.Pins.Of(r.SenderMember)
	switch set := a.opt.Settings.Receipts; {
	case !r.Verified || !r.Receipts || sender.Rejected:
		return inbox.Unasked
	case reply, set == config.ReceiptsAll:
		return inbox.Due
	case set == config.ReceiptsTrusted && (r.SenderMember == a.Mesh.Pubkey() || sender.Accepted):
		return inbox.Due
	}
	return inbox.Withheld
}

// sign signs a notice with the key that the message came to. Empty while the session of that key is not here.
func (t teller) sign(n inbox.Notice) (string, error) {
	secret, proof := t.at.Mesh.Secret, protocol.ReceiptProof{At: n.At.UnixMilli()}
	if n.Recipient != t.at.Mesh.Pubkey() {
		s, _ := t.at.Sessions.byKey(n.Recipient)
		if s == nil {
			return "", nil
		}
		vouch, err := s.word.at(t.at, s.Secret, t.at.opt.Now())
		if err != nil {
			return "", err
		}
		secret, proof.Member, proof.Attestation = s.Secret, t.at.Mesh.Pubkey(), &vouch
	}
	sender, err := seal.DecodePublicKey(string(n.SenderMember))
	if err != nil {
		return "", err
	}
	sig, err := seal.Receipt{
		MeshID: string(t.at.Mesh.ID), ClientID: string(n.ClientID), Sender: sender, Reader: secret.Public(), State: string(n.State), At: n.At,
	}.Sign(secret)
	if err != nil {
		return "", err
	}
	proof.Signature = sig.String()
	text, err := wire.Encode(proof)
	return string(text), err
}
