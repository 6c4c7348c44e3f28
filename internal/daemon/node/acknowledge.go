package node

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Acknowledge notes that a message was acknowledged by its reader, and says whether its sender is told; reply: the
// sender is sent an answer to it.
func (n *Node) Acknowledge(ctx context.Context, r inbox.Row, reply bool) (inbox.Fate, error) {
	at, err := n.byID(r.MeshID)
	if err != nil {
		return "", err
	}
	if err := inbox.NoticesOf(n.opt.Inbox).Acknowledge(ctx, r.Seq, reply); err != nil {
		return "", err
	}
	known, err := inbox.NoticesOf(n.opt.Inbox).Of(ctx, r.Seq)
	for _, k := range known {
		if k.State == mesh.StateAcknowledged && k.Fate != inbox.Due {
			return k.Fate, err
		}
	}
	return at.FateOf(r, reply), err
}

// answered acknowledges the message that an accepted one names as answered, where it came to its sender.
func (l letter) answered(ctx context.Context, out accepted) {
	if l.req.ReplyToID == "" {
		return
	}
	n := l.node
	scope := inbox.All()
	if l.session != "" {
		n.mu.Lock()
		line, ok := n.lines[lineID{out.Row.MeshID, l.session}]
		n.mu.Unlock()
		if !ok {
			return
		}
		scope = inbox.Only(line.Pubkey(), line.Member)
	}
	row, err := n.opt.Inbox.Find(ctx, scope, l.req.ReplyToID)
	if err == nil && row.MeshID == out.Row.MeshID {
		to := out.Row.Recipient
		_, err = n.Acknowledge(ctx, row, to != "" && (to == row.Sender || to == row.SenderMember))
	}
	if err != nil && !mesh.IsCode(err, mesh.NotFound) && ctx.Err() == nil {
		n.opt.Log.Warn("answered message not acknowledged", logkey.Mesh, out.Row.Mesh, logkey.Err, err)
	}
}
