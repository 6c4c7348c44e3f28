package ipc

import (
	"context"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
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
	proved := c.session != nil // by its token: a process that is merely inside a session gets no texts (design C6)
	c, err := s.within(ctx, c)
	if err != nil {
		return answer, err
	}
	if len(req.Attempts) > maxAttempts || len(req.Offered) > maxAttempts {
		return answer, mesh.Errorf(mesh.BadRequest, "at most %d attempts at once", maxAttempts)
	}
	if len(req.Offered) > 0 {
		n, err := s.Inbox.Offered(ctx, c.id(), req.Offered, localapi.PathHook)
		s.paths.Offered(c.id(), localapi.PathHook, n)
		return answer, err
	}
	var mode host.Mode
	if req.PermissionMode != "" {
		mode = host.ParseMode(req.PermissionMode)
	}
	news := registry.News{Mode: mode, Called: req.SessionID, Source: req.Source}
	if err := (registry.Hooks{Registry: s.Registry}).Heard(ctx, c.id(), news); err != nil {
		return answer, err
	}
	s.settled(c.id(), req)
	if now, ok := s.Registry.Find(c.id()); ok { // by another name, perhaps
		c.session = &now
	}
	if req.Human {
		s.talks.Human(c.id(), s.Now())
		s.opened.ring()
	}
	turn := s.paths.Heard(c.id(), req.Event)
	if answer.Surfaced, err = s.seen(ctx, c, req, turn); err != nil {
		return answer, err
	}
	if req.Status != "" && s.moods.news(c.id(), req.Status, s.Now()) {
		change := localapi.ProfileRequest{Status: &req.Status, Source: "hook"}
		if err := s.Node.Presence().Mention(c.id(), change); err != nil {
			return answer, err
		}
	}
	if req.TakesContext && proved {
		if answer.Context, answer.Attempts, err = s.context(ctx, c, req); err != nil {
			return answer, err
		}
	}
	answer.Name, answer.Meshes = c.session.Name, []string{}
	for _, l := range c.session.Lines {
		answer.Meshes = append(answer.Meshes, l.Slug)
	}
	return answer, nil
}

// within finds the session that a hook runs in: the one of its token, or else of the process around it.
func (s hookRoutes) within(ctx context.Context, c caller) (caller, error) {
	if c.session == nil {
		around, ok := (registry.Hooks{Registry: s.Registry}).Around(c.process.PID)
		if !ok {
			return c, mesh.Errorf(mesh.SessionUnknown, "no registered session runs this hook")
		}
		c.session, c.nobody = &around, false
	}
	return c, s.paths.Load(ctx, c.id())
}

// seen takes the proofs that a hook brings. What was not seen when a turn ends that began after it was offered is
// tried by another path; turn is the zero time within one.
func (s hookRoutes) seen(ctx context.Context, c caller, req localapi.HookRequest, turn time.Time) (int, error) {
	n, err := s.prove(ctx, c.id(), req.Attempts)
	if err != nil {
		return n, err
	}
	more, open, err := s.reread(ctx, c.id(), req.Transcript)
	if n += more; err != nil || !open || turn.IsZero() {
		return n, err
	}
	again, err := inbox.OfferingsOf(s.Inbox).Lapse(ctx, c.id(), turn, c.session.Registered, s.paths.Untried(c.id()))
	for _, path := range again {
		s.paths.Doubt(c.id(), path)
	}
	return n, err
}

// reread takes the proofs that the host wrote into a transcript since the last time. It is not read, and open is false, where
// nothing that was offered was without proof.
func (s hookRoutes) reread(ctx context.Context, session, transcript string) (n int, open bool, err error) {
	left, err := inbox.OfferingsOf(s.Inbox).Outstanding(ctx, session)
	if err != nil || left == 0 {
		return 0, false, err
	}
	written := s.transcripts.tokens(session, transcript)
	n, err = s.prove(ctx, session, written[:min(len(written), maxAttempts)])
	return n, true, err
}

// settled ends the questions of a session that were answered at the session: of a tool that was used, or all of them when it
// goes on to something else.
func (s hookRoutes) settled(session string, req localapi.HookRequest) {
	board := node.Approvals{Node: s.Node}.Board()
	switch req.Event {
	case "PostToolUse":
		if req.Tool != "" {
			board.Elsewhere(session, req.Tool, req.InputSHA)
		}
	case "UserPromptSubmit":
		if req.Human { // a message of another session ends no dialog
			board.Elsewhere(session, "", "")
		}
	case "Stop":
		board.Elsewhere(session, "", "")
	}
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
