package attachment

import (
	"cmp"
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/events"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/daemon/trust"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// receiptPage and receiptTime bound one question for receipts that were missed; receiptPause is the wait after one that
// failed.
const (
	receiptPage  = 500
	receiptTime  = 10 * time.Second
	receiptPause = 10 * time.Second
)

// receipts follows how far the messages have come that left for a mesh.
type receipts struct {
	*Options
	mesh   membership.Mesh
	link   *uplink.Link
	pins   *trust.Pins
	missed chan struct{} // holds one wish to read the receipts that were missed
}

// take notes how far a sent message has come.
func (r *receipts) take(ctx context.Context, _ *wire.Peer, one protocol.Receipt) {
	missed, err := r.note(ctx, []protocol.Receipt{one}, false)
	if err != nil && ctx.Err() == nil {
		r.Log.Warn("receipt not kept", logkey.Mesh, r.mesh.Slug, logkey.Err, err)
	}
	if missed || err != nil {
		r.miss()
	}
}

// note checks and writes down receipts (outbox.ApplyReceipts), and tells who listens what has changed by them.
func (r *receipts) note(ctx context.Context, brought []protocol.Receipt, page bool) (missed bool, err error) {
	all := make([]outbox.Receipt, 0, len(brought))
	for _, one := range brought {
		all = append(all, r.check(ctx, one))
	}
	changes, missed, err := r.Outbox.ApplyReceipts(ctx, r.mesh.ID, all, page)
	for _, c := range changes {
		m := c.Message
		r.Events.Publish(events.Event{Kind: localapi.EventReceipt, Mesh: r.mesh.ID, Of: cmp.Or(m.Sender, r.mesh.Pubkey()), Body: localapi.ReceiptEvent{
			TS: mesh.FormatTime(r.Now()), Mesh: r.mesh.Slug, MessageID: m.BrokerID, ClientMessageID: m.ClientID, Recipient: localapi.Recipient{
				Pubkey: c.Recipient.Key, State: c.Recipient.State, At: mesh.FormatTime(c.Recipient.At), Reason: c.Recipient.Reason, Verified: c.Recipient.Verified,
			},
		}})
	}
	return missed, err
}

// check looks whether the reader signed what only a reader can know. A proof that does not hold is worth a line: honest
// brokers change nothing.
func (r *receipts) check(ctx context.Context, one protocol.Receipt) outbox.Receipt {
	out := outbox.Receipt{Receipt: one}
	if one.State != mesh.StateSurfaced && one.State != mesh.StateAcknowledged {
		return out
	}
	proof, err := trust.ProveReceipt(ctx, r.pins, r.mesh.Pubkey(), one)
	if err != nil {
		r.Log.Warn("receipt not proved", logkey.Mesh, r.mesh.Slug, logkey.MessageID, string(one.MessageID), logkey.Err, err)
		return out
	}
	out.Proved, out.Known, out.Signed = true, proof.Known, proof.Signed
	return out
}

// miss says that there may be receipts that did not come by themselves.
func (r *receipts) miss() {
	select {
	case r.missed <- struct{}{}:
	default: // it is known
	}
}

// read reads, until ctx ends, what was missed: while there was no connection, or because it could not be kept.
func (r *receipts) read(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.missed:
		}
		changed := r.link.Changed()
		if err := r.catchUp(ctx); err != nil && ctx.Err() == nil {
			r.Log.Info("receipts not read", logkey.Mesh, r.mesh.Slug, logkey.Err, err)
			r.miss()
			select {
			case <-ctx.Done():
			case <-changed:
			case <-time.After(receiptPause):
			}
		}
	}
}

// catchUp reads the receipts after the last. Without a connection it does nothing: the next one begins with it.
func (r *receipts) catchUp(ctx context.Context) error {
	for more := true; more; {
		peer := r.link.Peer()
		if peer == nil || !r.link.Has(protocol.CapReceipts) {
			return nil
		}
		var err error
		if more, err = r.page(ctx, peer); err != nil {
			return err
		}
	}
	return nil
}

func (r *receipts) page(ctx context.Context, peer *wire.Peer) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, receiptTime)
	defer cancel()
	seq, err := r.Outbox.LastReceipt(ctx, r.mesh.ID)
	if err != nil {
		return false, err
	}
	page, err := protocol.ReceiptsSince.Do(ctx, peer, protocol.ReceiptsRequest{Seq: seq, Limit: receiptPage})
	if err != nil {
		return false, err
	}
	_, err = r.note(ctx, page.Receipts, true)
	n := len(page.Receipts)
	return page.More && n > 0 && page.Receipts[n-1].Seq > seq, err // else the next page would be this one again
}
