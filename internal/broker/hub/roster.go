package hub

import (
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Conns lists the connections of a mesh, oldest first. The list is given to several, and is not to be changed.
func (h *Hub) Conns(meshID mesh.ID) []Conn {
	peers := h.meshes[meshID]
	out, known := h.lists[meshID]
	if known || len(peers) == 0 {
		return out
	}
	out = make([]Conn, len(peers))
	for i, c := range peers {
		out[i] = c.Conn
	}
	h.lists[meshID] = out
	return out
}

// Watchers lists the connections that hear of a member's receipts: its daemon, else all that announced receipts/1.
func (h *Hub) Watchers(member mesh.ID) []ConnID {
	b := h.boxes[Mailbox{Member: member}]
	if b == nil {
		return nil
	}
	if c := b.serving; c != nil && c.Receipts && c.Role == mesh.ControlPlane {
		return []ConnID{c.ID}
	}
	var out []ConnID
	for _, c := range b.conns {
		if c.Receipts {
			out = append(out, c.ID)
		}
	}
	return out
}

// InGroup reports whether a peer with these groups is reached by @group: as its member, or as one of a group below it.
func InGroup(groups []protocol.Group, group string) bool {
	return slices.ContainsFunc(groups, func(g protocol.Group) bool {
		return g.Name == group || strings.HasPrefix(g.Name, group) && g.Name[len(group)] == '/'
	})
}
