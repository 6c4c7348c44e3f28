package node

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// receiptPage and receiptTime bound one question for receipts that were missed.
const (
	receiptPage = 500
	receiptTime = 10 * time.Second
)

// onReceipt notes how far a sent message has come. Every connection of the member may bring it.
func (a *attachment) onReceipt(ctx context.Context, _ *wire.Peer, r protocol.Receipt) {
	a.mu.Lock()
	complete := a.caughtUp
	a.mu.Unlock()
	if err := a.node.opt.Outbox.ApplyReceipts(ctx, a.mesh.ID, []protocol.Receipt{r}, complete); err != nil && ctx.Err() == nil {
		a.node.opt.Log.Warn("receipt not kept", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
	}
}

// catchUp reads the receipts that were missed while there was no connection.
func (a *attachment) catchUp(ctx context.Context, link *uplink.Link, peer *wire.Peer) {
	if peer == nil || !link.Has(protocol.CapReceipts) {
		return
	}
	for {
		more, err := a.receiptPage(ctx, peer)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil: // the next connection tries again
			a.node.opt.Log.Info("receipts not read", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
			return
		case !more:
			a.mu.Lock()
			a.caughtUp = link.Peer() == peer
			a.mu.Unlock()
			return
		}
	}
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
	return page.More, a.node.opt.Outbox.ApplyReceipts(ctx, a.mesh.ID, page.Receipts, true)
}
