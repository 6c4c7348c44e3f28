package attachment

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// Count tells how many peers are there, and how many are known, by a roster that is not older than age, or where the broker
// does not answer before ctx ends by the one that was read last. Without a connection nobody is there.
func (a *Attachment) Count(ctx context.Context, sessionID string, age time.Duration) (online, known int) {
	if a.Link.State() != uplink.Open {
		return 0, len(a.Roster.Met())
	}
	peers, err := a.Roster.Since(a.opt.Now().Add(-age))(ctx)
	if err != nil {
		a.Roster.mu.Lock()
		peers = a.Roster.last.peers
		a.Roster.mu.Unlock()
	}
	rows := a.Roster.View(peers, sessionID, localapi.PeersRequest{Offline: true})
	for _, p := range rows {
		if p.Online == nil || *p.Online {
			online++
		}
	}
	return online, len(rows)
}
