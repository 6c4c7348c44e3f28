package node

import (
	"context"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// glanceEvery is how old the roster behind a glance may be, where its broker answers within the time of the caller.
const glanceEvery = 30 * time.Second

// Glance counts the peers of the meshes that a session is in, or with an empty id the user: by rosters that were read
// lately, and where ctx ends before a broker answers by those that were read last.
func (p Presence) Glance(ctx context.Context, sessionID string) []localapi.StatusLineMesh {
	meshes := p.node.meshes()
	all := make([]localapi.StatusLineMesh, 0, len(meshes))
	counted := make([]*attachment.Attachment, 0, len(meshes))
	for _, at := range meshes {
		if sessionID == "" || at.Sessions.Find(sessionID) != nil {
			all = append(all, localapi.StatusLineMesh{Mesh: at.Mesh.Slug, Status: string(at.Link.State())})
			counted = append(counted, at)
		}
	}
	var wait sync.WaitGroup
	for i, at := range counted {
		wait.Go(func() { all[i].Online, all[i].Peers = at.Count(ctx, sessionID, glanceEvery) })
	}
	wait.Wait()
	return all
}
