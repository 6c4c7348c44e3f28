package ipc

import (
	"cmp"
	"context"
	"maps"
	"sync"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/pathway"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// pathRoutes answers by which paths messages reach sessions.
type pathRoutes struct{ *Server }

// showing is what is known of how sessions are shown messages. Of a session that has ended it forgets everything.
type showing struct {
	paths       *pathway.Book
	pace        *pathway.Pace // of the inboxes of hosts
	digests     *digests
	facts       *facts
	transcripts *transcripts
	wakers      deliverers
}

func newShowing(opt Options) showing {
	return showing{
		paths:   pathway.New(pathway.Options{Records: inbox.OfferingsOf(opt.Inbox).Records, Now: opt.Now}),
		pace:    &pathway.Pace{Burst: host.InboxBurst, Every: host.InboxEvery},
		digests: &digests{told: map[string]bool{}}, facts: &facts{last: map[string]int64{}}, transcripts: &transcripts{read: map[string]place{}},
		wakers: newDeliverers(),
	}
}

// retain forgets the sessions that are not to be kept.
func (s showing) retain(keep func(session string) bool) {
	s.paths.Retain(keep)
	s.pace.Retain(keep)
	prune(&s.digests.mu, s.digests.told, keep)
	prune(&s.facts.mu, s.facts.last, keep)
	prune(&s.transcripts.mu, s.transcripts.read, keep)
}

func prune[V any](mu *sync.Mutex, of map[string]V, keep func(session string) bool) {
	mu.Lock()
	defer mu.Unlock()
	maps.DeleteFunc(of, func(session string, _ V) bool { return !keep(session) })
}

// bind lists the handlers of what is about the paths into sessions.
func (s pathRoutes) bind() {
	handle(s.Server, localapi.SessionPathsList, s.list)
	handle(s.Server, localapi.OpenPaths, s.open)
	handle(s.Server, localapi.InboxReturn, s.giveBack)
	handle(s.Server, localapi.InboxTake, s.take)
	stream(s.Server, localapi.HookWake, hookRoutes{s.Server}.wake)
}

func (s pathRoutes) list(ctx context.Context, c caller, _ localapi.None) (localapi.SessionPathsAnswer, error) {
	answer := localapi.SessionPathsAnswer{Sessions: []localapi.SessionPaths{}}
	for _, session := range s.Registry.List() {
		if c.session != nil && c.session.ID != session.ID {
			continue
		}
		if err := s.paths.Load(ctx, session.ID); err != nil {
			return answer, err
		}
		v := s.paths.View(session.ID)
		v.SessionID, v.DisplayName, v.Host, v.MessageMode = session.ID, session.Name, session.Host, session.MessageMode
		answer.Sessions = append(answer.Sessions, v)
	}
	return answer, nil
}

func (s pathRoutes) open(ctx context.Context, c caller, req localapi.OpenPathsRequest) (localapi.None, error) {
	if c.session == nil {
		return localapi.None{}, mesh.Errorf(mesh.SessionUnknown, "only a process in a session has paths into it")
	}
	if err := checkPaths(req.Paths); err != nil {
		return localapi.None{}, err
	}
	if err := s.paths.Load(ctx, c.id()); err != nil {
		return localapi.None{}, err
	}
	s.paths.Open(c.id(), req.Paths)
	return localapi.None{}, nil
}

// maxReason bounds what is said of a path that failed.
const maxReason = 200

func (s pathRoutes) giveBack(ctx context.Context, c caller, req localapi.ReturnRequest) (localapi.ReturnAnswer, error) {
	switch {
	case c.session == nil:
		return localapi.ReturnAnswer{}, mesh.Errorf(mesh.SessionUnknown, "only a session is offered messages")
	case len(req.Attempts) > maxAttempts:
		return localapi.ReturnAnswer{}, mesh.Errorf(mesh.BadRequest, "at most %d attempts at once", maxAttempts)
	case len(req.Reason) > maxReason:
		return localapi.ReturnAnswer{}, mesh.Errorf(mesh.BadRequest, "the reason is over %d bytes", maxReason)
	}
	if err := checkPaths([]string{req.Path}); err != nil {
		return localapi.ReturnAnswer{}, err
	}
	s.paths.Failed(c.id(), req.Path, host.Line(req.Reason)) // before the rows are there to be taken again
	n, err := inbox.OfferingsOf(s.Inbox).Return(ctx, c.id(), req.Attempts)
	return localapi.ReturnAnswer{Returned: n}, err
}

// Of what is taken for the answer of a tool.
const (
	maxTake     = 20
	defaultTake = 5
)

func (s pathRoutes) take(ctx context.Context, c caller, req localapi.TakeRequest) (localapi.TakeAnswer, error) {
	answer := localapi.TakeAnswer{Items: []localapi.InboxItem{}, Notices: []localapi.Notice{}}
	switch {
	case c.session == nil:
		return answer, mesh.Errorf(mesh.SessionUnknown, "only a session is offered messages")
	case req.Limit < 0 || req.Limit > maxTake:
		return answer, mesh.Errorf(mesh.BadRequest, "limit is 1 to %d", maxTake)
	}
	if err := s.paths.Load(ctx, c.id()); err != nil || s.paths.Choose(c.id()) != localapi.PathTool {
		return answer, err
	}
	to := surfaceOf(c)
	to.Path = localapi.PathTool
	b, err := claim(ctx, s.Server, to, cmp.Or(req.Limit, defaultTake))
	answer.Items, answer.Notices = append(answer.Items, b.items...), append(answer.Notices, b.notices...)
	return answer, err
}

// prove takes the tokens that a host gave back, and counts the messages of which it was not known that they were shown.
func (s *Server) prove(ctx context.Context, session string, attempts []string) (int, error) {
	if len(attempts) == 0 {
		return 0, nil
	}
	paths, err := inbox.NoticesOf(s.Inbox).Surfaced(ctx, session, attempts)
	if len(paths) > 0 {
		if err := s.paths.Load(ctx, session); err != nil {
			return 0, err
		}
		s.paths.Proved(session, paths)
	}
	return len(paths), err
}
