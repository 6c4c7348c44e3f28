package node

import (
	"context"
	"time"

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

// onReceipt notes how far a sent message has come.
func (a *attachment) onReceipt(ctx context.Context, _ *wire.Peer, r protocol.Receipt) {
	missed, err := a.node.opt.Outbox.ApplyReceipts(ctx, a.mesh.ID, []protocol.Receipt{r}, false)
	if err != nil && ctx.Err() == nil {
		a.node.opt.Log.Warn("receipt not kept", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
	}
	if missed || err != nil {
		a.missReceipts()
	}
}

// missReceipts says that there may be receipts that did not come by themselves.
func (a *attachment) missReceipts() {
	select {
	case a.missed <- struct{}{}:
	default: // it is known
	}
}

// readReceipts reads, until ctx ends, what was missed: while there was no connection, or because it could not be kept.
func (a *attachment) readReceipts(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.missed:
		}
		changed := a.link.Changed()
		if err := a.catchUp(ctx); err != nil && ctx.Err() == nil {
			a.node.opt.Log.Info("receipts not read", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
			a.missReceipts()
			select {
			case <-ctx.Done():
			case <-changed:
			case <-time.After(receiptPause):
			}
		}
	}
}

// catchUp reads the receipts after the last. Without a connection it does nothing: the next one begins with it.
func (a *attachment) catchUp(ctx context.Context) error {
	for more := true; more; {
		peer := a.link.Peer()
		if peer == nil || !a.link.Has(protocol.CapReceipts) {
			return nil
		}
		var err error
		if more, err = a.receiptPage(ctx, peer); err != nil {
			return err
		}
	}
	return nil
}

func (a *attachment) receiptPage(ctx context.Context, peer *wire.Peer) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, receiptTime)
	defer cancel()
	seq, err := a.node.opt.Outbox.LastReceipt(ctx, a.mesh.ID)
	if err != nil {
		return false, err
	}
	page, err := protocol.ReceiptsSince.Do(ctx, peer, protocol.ReceiptsRequest{Seq: seq, Limit: receiptPage})
	if err != nil {
		return false, err
	}
	_, err = a.node.opt.Outbox.ApplyReceipts(ctx, a.mesh.ID, page.Receipts, true)
	n := len(page.Receipts)
	return page.More && n > 0 && page.Receipts[n-1].Seq > seq, err // else the next page would be this one again
}
