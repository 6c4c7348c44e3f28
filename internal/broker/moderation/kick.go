package moderation

import (
	"context"
	"log/slog"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/queue"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// manner is how connections are closed.
type manner struct {
	code        mesh.CloseCode
	named, idle string // reasons in the close frame, for those that were meant and those that were silent
	gentle      bool   // clients come back by themselves, so that anybody may be meant, and daemons too
}

var (
	gently = manner{mesh.CloseNormal, "disconnected", "disconnected_stale", true}
	firmly = manner{mesh.CloseKicked, "kicked", "kicked_stale", false}
)

func (m *Moderation) disconnect(ctx context.Context, s *session.Session, req protocol.KickRequest) (protocol.KickAnswer, error) {
	b, err := m.convene(ctx, s, protocol.Disconnect.Type, req.Signed(), req.Operation)
	if err != nil {
		return protocol.KickAnswer{}, err
	}
	return m.clear(ctx, b, req, gently)
}

// kick closes sessions and services. A daemon comes back by itself, also the old ones that do not know how to obey, so
// that kicking it would be a lie: it is left out, and named (lessons 1.27).
func (m *Moderation) kick(ctx context.Context, s *session.Session, req protocol.KickRequest) (protocol.KickAnswer, error) {
	b, err := m.convene(ctx, s, protocol.Kick.Type, req.Signed(), req.Operation)
	if err != nil {
		return protocol.KickAnswer{}, err
	}
	return m.clear(ctx, b, req, firmly)
}

// clear closes the connections that a request means. One that means nobody closes none.
func (m *Moderation) clear(ctx context.Context, b *bench, req protocol.KickRequest, how manner) (protocol.KickAnswer, error) {
	answer := protocol.KickAnswer{Kicked: []string{}}
	conns, err := m.Queue.Connections(ctx, b.Mesh)
	if err != nil {
		return answer, err
	}
	meant, reason, err := m.meant(b, conns, req, how)
	if err != nil {
		return answer, err
	}
	closed := map[hub.ConnID]bool{}
	for i := range meant {
		c := &meant[i]
		if !how.gentle && c.Role == mesh.ControlPlane {
			answer.SkippedControlPlane = append(answer.SkippedControlPlane, c.Name)
			continue
		}
		closed[c.ID] = true
		answer.Kicked = append(answer.Kicked, c.Name)
		m.note("connection closed", b, b.member(c.Member), slog.Uint64(logkey.Conn, uint64(c.ID)), slog.String(logkey.Reason, reason))
	}
	answer.Affected = answer.Kicked
	return answer, m.Queue.Close(ctx, queue.Closing{
		Mesh: b.Mesh, Which: func(c *hub.Conn) bool { return closed[c.ID] }, Code: how.code, Reason: reason,
	})
}

// meant lists the connections that a request means, and why they are closed. All and stale leave out the caller's own
// member and whoever is to be spared.
func (m *Moderation) meant(b *bench, conns []hub.Conn, req protocol.KickRequest, how manner) ([]hub.Conn, string, error) {
	stale := time.Duration(req.Stale) * time.Millisecond
	if !req.All && stale <= 0 {
		named, err := b.findConns(req.Target, conns, how)
		return named, how.named, err
	}
	reason := how.named
	var chosen []hub.Conn
	for _, c := range conns {
		switch {
		case c.Member == b.Member, !how.gentle && b.spare(b.member(c.Member)) != nil:
		case req.All:
			chosen = append(chosen, c)
		case m.Silent(c.ID) >= stale:
			chosen, reason = append(chosen, c), how.idle
		}
	}
	return chosen, reason, nil
}
