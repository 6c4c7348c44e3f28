package ipc

import (
	"context"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// hookRoutes answers the hooks of hosts.
type hookRoutes struct{ *Server }

// statusEvery is how often the same status is told again: it decays when nothing is heard (wire 7).
const statusEvery = 20 * time.Second

func (s hookRoutes) hook(ctx context.Context, c caller, req localapi.HookRequest) (localapi.HookAnswer, error) {
	var answer localapi.HookAnswer
	hooks := registry.Hooks{Registry: s.Registry}
	if c.session == nil {
		around, ok := hooks.Around(c.process.PID)
		if !ok {
			return answer, mesh.Errorf(mesh.SessionUnknown, "no registered session runs this hook")
		}
		c.session = &around
	}
	if len(req.Attempts) > maxAttempts {
		return answer, mesh.Errorf(mesh.BadRequest, "at most %d attempts at once", maxAttempts)
	}
	var mode host.Mode
	if req.PermissionMode != "" {
		mode = host.ParseMode(req.PermissionMode)
	}
	if err := hooks.Heard(ctx, c.id(), mode, req.SessionID); err != nil {
		return answer, err
	}
	if len(req.Attempts) > 0 {
		n, err := inbox.NoticesOf(s.Inbox).Surfaced(ctx, c.id(), req.Attempts)
		if err != nil {
			return answer, err
		}
		answer.Surfaced = n
	}
	if req.Status != "" && s.moods.news(c.id(), req.Status, s.Now()) {
		change := localapi.ProfileRequest{Status: &req.Status, Source: "hook"}
		if _, err := s.Node.Presence().SetProfile(ctx, c.id(), change); err != nil {
			return answer, err
		}
	}
	answer.Name, answer.Meshes = c.session.Name, []string{}
	for _, l := range c.session.Lines {
		answer.Meshes = append(answer.Meshes, l.Slug)
	}
	return answer, nil
}

// moods remembers what hooks said last, so that a busy session costs the broker one frame in a while.
type moods struct {
	mu   sync.Mutex
	last map[string]mood
}

type mood struct {
	status mesh.Status
	at     time.Time
}

// news notes a status; false when the same one was told a moment ago.
func (m *moods) news(session string, status mesh.Status, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, is := range m.last {
		if since := now.Sub(is.at); since >= statusEvery || since < 0 { // the clock may have been set back
			delete(m.last, id)
		}
	}
	if is, ok := m.last[session]; ok && is.status == status {
		return false
	}
	if m.last == nil {
		m.last = map[string]mood{}
	}
	m.last[session] = mood{status, now}
	return true
}
