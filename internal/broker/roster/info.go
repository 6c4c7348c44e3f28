package roster

import (
	"context"
	"slices"

	"github.com/claudemesh/claudemesh/internal/broker/presence"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Info is an overview of the caller's mesh (wire 11.12). Lists of what a mesh does not have are empty, never absent.
func (r *Roster) Info(ctx context.Context, s *session.Session, _ protocol.MeshInfoRequest) (protocol.MeshInfo, error) {
	seen, _, err := r.present(ctx, s)
	if err != nil {
		return protocol.MeshInfo{}, err
	}
	info := protocol.MeshInfo{
		Mesh: s.Mesh, Peers: countPeers(seen), Groups: []string{}, StateKeys: []string{}, Streams: []string{}, Tables: []string{},
		Collections: []string{}, YourName: s.Name, YourGroups: []string{},
	}
	for i := range seen {
		for _, g := range seen[i].Groups {
			info.Groups = append(info.Groups, "@"+g.Name)
			if seen[i].ID == s.Conn {
				info.YourGroups = append(info.YourGroups, "@"+g.Name)
			}
		}
	}
	slices.Sort(info.Groups)
	info.Groups = slices.Compact(info.Groups)
	err = r.DB.Read(ctx, func(tx *sqlite.Tx) error {
		m, err := store.FindMesh(tx, s.Mesh)
		if err != nil {
			return err
		}
		members, err := store.ListMembers(tx, s.Mesh)
		info.Name, info.CreatedAt, info.Members = m.Name, mesh.FormatTime(m.CreatedAt), len(members)
		return err
	})
	return info, err
}

// countPeers counts whom a list shows: sessions, services, and members whom their daemon alone stands for.
func countPeers(all []presence.Peer) int {
	alone, n := map[mesh.ID]bool{}, 0
	for i := range all {
		if all[i].Role == mesh.ControlPlane {
			alone[all[i].Member] = true
		}
	}
	for i := range all {
		if all[i].Role != mesh.ControlPlane {
			n++
			delete(alone, all[i].Member)
		}
	}
	return n + len(alone)
}
