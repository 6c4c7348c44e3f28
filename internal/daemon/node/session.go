package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"reflect"

	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// lineID names a session's place in a mesh.
type lineID struct {
	mesh    mesh.ID
	session string
}

// line is a session in one mesh, as the registry gave it.
type line struct {
	session registry.Session
	registry.Line
}

// sessionLink is the connection of a line.
type sessionLink struct {
	line
	link    *uplink.Link
	seating *seating
	voice   *voice
	word    *word
	ending  chan struct{}
}

// end makes the connection say goodbye. Call it once.
func (s *sessionLink) end() { close(s.ending) }

// Attach opens the connection of a session in a mesh, or renews it where its name or folder has changed
// (registry.Lines).
func (n *Node) Attach(s registry.Session, l registry.Line) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines[lineID{l.MeshID, s.ID}] = line{s, l}
	if at, ok := n.attached[l.MeshID]; ok {
		at.addSession(line{s, l})
	}
}

// Detach closes it for good (registry.Lines).
func (n *Node) Detach(s registry.Session, l registry.Line) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.lines, lineID{l.MeshID, s.ID})
	if at, ok := n.attached[l.MeshID]; ok {
		at.removeSession(s.ID)
	}
}

// addSession gives a session its connection; one that tells the broker the same stays as it is.
func (a *attachment) addSession(l line) {
	a.mu.Lock()
	defer a.mu.Unlock()
	speaks := newVoice(a, l.session.ID)
	if old, ok := a.sessions[l.session.ID]; ok {
		speaks = old.voice
		if reflect.DeepEqual(old.presence(), l.presence()) {
			old.session = l.session
			if old.seating.register(l.session.Groups) && a.spawn != nil {
				a.spawn(old.seating.tellLater)
			}
			knock(a.link, old.link)
			return
		}
		old.end()
	}
	sl := &sessionLink{line: l, seating: newSeating(a, l.session.ID), voice: speaks, word: new(word), ending: make(chan struct{})}
	sl.seating.register(l.session.Groups)
	link, err := a.newLink(l.Secret, l.presence, sl.seating)
	if err != nil {
		a.node.opt.Log.Error("session not attached", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
		delete(a.sessions, l.session.ID)
		return
	}
	sl.link = link
	a.sessions[l.session.ID] = sl
	a.voices.move()
	if a.spawn != nil {
		a.start(sl)
	}
	knock(a.link)
	a.wake.Fire()
}

// knock asks once more at brokers that would not hear us any more: somebody has started a session.
func knock(links ...*uplink.Link) {
	for _, l := range links {
		if l.State().Final() {
			l.Retry()
		}
	}
}

// start runs a session's connection. a.mu is held and a.spawn is set.
func (a *attachment) start(s *sessionLink) {
	a.spawn(func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stopped := make(chan error, 1)
		go func() { stopped <- s.link.Run(ctx) }()
		select {
		case err := <-stopped:
			return err
		case <-s.ending:
			cancel()
			return <-stopped
		}
	})
}

// speaks reports whether the session's messages leave in its own name. To a broker that knows no connections of sessions
// they leave in its member's.
func (s *sessionLink) speaks() bool { return s.link.State() != uplink.Unsupported }

// retrySessions asks a broker that knew no connections of sessions whether it knows them now.
func retrySessions(a *attachment) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sessions {
		if !s.speaks() {
			s.link.Retry()
		}
	}
}

// removeSession ends the connection of a session.
func (a *attachment) removeSession(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.sessions[id]; ok {
		s.end()
		delete(a.sessions, id)
		a.voices.move()
		a.wake.Fire()
		a.node.peers.Fire()
		if a.redrain != nil {
			a.redrain()
		}
	}
}

// session gives the connection of a session, nil without one.
func (a *attachment) session(id string) *sessionLink {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sessions[id]
}

// presence is what a session's connection tells besides its groups: the base name of its folder, nothing of this machine (design C5).
func (l line) presence() protocol.Presence {
	hash := sha256.Sum256([]byte(l.Pubkey())) // the host's own id stays here (design C6)
	return protocol.Presence{
		DisplayName: l.session.Name, SessionID: hex.EncodeToString(hash[:16]), CWD: filepath.Base(l.session.CWD), PeerType: "ai",
		Channel: "claudemesh-session", Role: l.session.Role,
	}
}

// SessionState is the state of a session's connection in a mesh; empty without one.
func (n *Node) SessionState(id mesh.ID, sessionID string) string {
	at, err := n.byID(id)
	if err != nil {
		return ""
	}
	if s := at.session(sessionID); s != nil {
		return string(s.link.State())
	}
	return ""
}
