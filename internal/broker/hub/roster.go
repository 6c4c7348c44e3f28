package hub

import (
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Conns lists the connections of a mesh, oldest first.
func (h *Hub) Conns(meshID mesh.ID) []Conn {
	out := make([]Conn, 0, len(h.meshes[meshID]))
	for _, c := range h.meshes[meshID] {
		out = append(out, c.Conn)
	}
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
