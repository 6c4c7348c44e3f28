package attachment

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/logkey"
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
	missed chan struct{} // holds one wish to read the receipts that were missed
}

// take notes how far a sent message has come.
func (r *receipts) take(ctx context.Context, _ *wire.Peer, one protocol.Receipt) {
	missed, err := r.Outbox.ApplyReceipts(ctx, r.mesh.ID, []protocol.Receipt{one}, false)
	if err != nil && ctx.Err() == nil {
		r.Log.Warn("receipt not kept", logkey.Mesh, r.mesh.Slug, logkey.Err, err)
	}
	if missed || err != nil {
		r.miss()
	}
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
	_, err = r.Outbox.ApplyReceipts(ctx, r.mesh.ID, page.Receipts, true)
	n := len(page.Receipts)
	return page.More && n > 0 && page.Receipts[n-1].Seq > seq, err // else the next page would be this one again
}
