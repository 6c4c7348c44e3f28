package node

import (
	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// lineID names a session's place in a mesh.
type lineID struct {
	mesh    mesh.ID
	session string
}

// Attach opens the connection of a session in a mesh, or renews it where its name or folder has changed
// (registry.Lines).
func (n *Node) Attach(s registry.Session, l registry.Line) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines[lineID{l.MeshID, s.ID}] = attachment.Line{Session: s, Line: l}
	if at, ok := n.attached[l.MeshID]; ok {
		at.Sessions.Add(attachment.Line{Session: s, Line: l})
	}
}

// Detach closes it for good (registry.Lines).
func (n *Node) Detach(s registry.Session, l registry.Line) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.lines, lineID{l.MeshID, s.ID})
	if at, ok := n.attached[l.MeshID]; ok {
		at.Sessions.Remove(s.ID)
	}
}

// SessionState is the state of a session's connection in a mesh; empty without one.
func (n *Node) SessionState(id mesh.ID, sessionID string) string {
	at, err := n.byID(id)
	if err != nil {
		return ""
	}
	if s := at.Sessions.Find(sessionID); s != nil {
		return string(s.Link.State())
	}
	return ""
}
