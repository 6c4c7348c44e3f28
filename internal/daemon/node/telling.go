package node

import (
	"bytes"
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// addTelling says of delivered copies whether more can become known of them: their reader's client has to announce it,
// and the broker to pass it on (design B2).
func addTelling(ctx context.Context, n *Node, meshID mesh.ID, copies []localapi.Recipient) {
	at, err := n.byID(meshID)
	if err != nil {
		return // the mesh was left
	}
	for i := range copies {
		if copies[i].State == mesh.StateDelivered {
			copies[i].CanTell = canTell(ctx, at, copies[i].Pubkey)
		}
	}
}

// canTell is nil where it is not known.
func canTell(ctx context.Context, at *attachment.Attachment, reader mesh.Key) *bool {
	if at.Link.Peer() == nil {
		return nil
	}
	if !at.Link.Has(protocol.CapReceipts) {
		return new(false)
	}
	peers, err := at.Roster.Last(ctx)
	if err != nil {
		return nil
	}
	member := reader
	for _, p := range peers {
		if p.Pubkey == reader {
			member = p.MemberPubkey
		}
	}
	found := false
	for _, p := range peers {
		if p.MemberPubkey != member || p.Online != nil && !*p.Online {
			continue
		}
		if p.Receipts {
			return new(true)
		}
		found = true
	}
	switch {
	case at.Roster.Pins.Of(member).Proved(protocol.CapSenderProof):
		return new(true) // it wrote to us with a client like ours
	case found:
		return new(false)
	}
	return nil
}

// settled reports whether nothing more can become known of a message.
func settled(a localapi.StatusAnswer) bool {
	if len(a.Recipients) == 0 || len(a.Recipients) < a.RecipientCount {
		return a.State.Failed()
	}
	for _, r := range a.Recipients {
		mute := r.State == mesh.StateDelivered && r.CanTell != nil && !*r.CanTell
		if r.State != mesh.StateAcknowledged && !r.State.Failed() && !mute {
			return false
		}
	}
	return true
}

// watchStatus is how often a watched message is looked at where nobody says that it has changed.
const watchStatus = 15 * time.Second

// WatchMessage tells how far a sent message has come, and each change, until nothing more can become known or ctx ends.
// From time to time tell is given nothing, so that it notices who has gone.
func WatchMessage(ctx context.Context, n *Node, req localapi.StatusRequest, tell func(*localapi.StatusAnswer) error) error {
	ids, err := partsOf(ctx, n, req)
	if err != nil {
		return err
	}
	changed, stop := outbox.Watch(n.opt.Outbox, ids...)
	defer stop()
	tick := time.NewTicker(watchStatus)
	defer tick.Stop()
	for last := []byte(nil); ; {
		answer, err := n.MessageStatus(ctx, req)
		if err != nil {
			return err
		}
		text, err := wire.Encode(answer)
		if err != nil {
			return err
		}
		said := &answer
		if bytes.Equal(text, last) {
			said = nil
		}
		if err := tell(said); err != nil || answer.Settled {
			return err
		}
		last = text
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
	}
}

// partsOf gives the ids of the messages that an id stands for.
func partsOf(ctx context.Context, n *Node, req localapi.StatusRequest) ([]mesh.ClientID, error) {
	parts, err := n.opt.Outbox.Parts(ctx, mesh.ClientID(req.ID), req.Mesh)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		m, err := n.opt.Outbox.Status(ctx, req.ID, req.Mesh)
		if err != nil {
			return nil, err
		}
		parts = append(parts, m)
	}
	var ids []mesh.ClientID
	for _, m := range parts {
		ids = append(ids, m.ClientID)
	}
	return ids, nil
}
