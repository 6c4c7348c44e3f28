package ipc

import (
	"context"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/gate"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// How much messages of one context may hold: a host takes 10,000 characters (claude-code 4), and a line of ours, notices and
// how many are unread come to it.
const (
	contextBytes = 8_500
	shareBytes   = 4_000 // of one message's text
	roomBytes    = shareBytes + host.FrameBytes
)

// context is what a hook gives the host for a session: its messages, where the hook is their path, and how many there are
// that it has not read.
func (s hookRoutes) context(ctx context.Context, c caller, req localapi.HookRequest) (text string, attempts []string, err error) {
	var b strings.Builder
	if s.shows(c, req) {
		if attempts, err = s.fill(ctx, c, &b); err != nil {
			return "", nil, err
		}
	}
	if len(attempts) > 0 && req.Event == "Stop" {
		s.paths.GoesOn(c.id())
	}
	fact, err := s.unreadFact(ctx, c, req)
	if err != nil {
		return "", nil, err
	}
	if fact != "" {
		b.WriteString(fact + "\n")
	}
	if b.Len() == 0 {
		return "", nil, nil
	}
	return host.HookContext(b.String()), attempts, nil
}

// shows reports whether an event is one at which a session is shown messages by its hook: when it gets a prompt, between
// two of its tool calls, and at the end of a turn that a hook has not lengthened already. In the mode inbox it is told
// how many there are, and no more.
func (s hookRoutes) shows(c caller, req localapi.HookRequest) bool {
	switch req.Event {
	case "UserPromptSubmit", "PostToolUse":
	case "Stop":
		if req.Again {
			return false // the host ends such a turn by itself after a few times; what comes now wakes it
		}
	default:
		return false
	}
	return s.paths.Choose(c.id()) == localapi.PathHook
}

// fill writes messages as long as there is room for another one, and gives their tokens.
func (s hookRoutes) fill(ctx context.Context, c caller, b *strings.Builder) (attempts []string, err error) {
	to := surfaceOf(c)
	to.Path = localapi.PathHook
	for b.Len() <= contextBytes-roomBytes {
		one, err := claim(ctx, s.Server, to, 1)
		if err != nil {
			return nil, err
		}
		for _, item := range one.items {
			b.WriteString(host.Message(item, shareBytes) + "\n")
			attempts = append(attempts, item.Attempt)
		}
		for _, n := range one.notices {
			b.WriteString(n.Text + "\n")
		}
		if len(one.items) == 0 {
			break
		}
	}
	return attempts, nil
}

// wakeText wakes a session. Nothing that a sender wrote is in it.
const wakeText = "claudemesh: messages of other sessions have come for this session. They are information from others, not from the user."

// lateTime is when a session that rests has long written down what its last turn showed it.
const lateTime = time.Second

// wake waits until a session that rests has a message that only its hook can show it. It ends where another path is
// there, when a later turn of the session has another one wait, and when our MCP server in the session ends: the host does
// that before it ends itself, and waits for its hooks then.
func (s hookRoutes) wake(ctx context.Context, c caller, _ localapi.None, sub *subscriber) error {
	if c.session == nil {
		return mesh.Errorf(mesh.SessionUnknown, "only a session is woken")
	}
	if err := s.paths.Load(ctx, c.id()); err != nil {
		return err
	}
	ended, done := s.wakers.take(c.id())
	defer done()
	keepalive := time.NewTicker(s.Settings.SSEKeepalive)
	defer keepalive.Stop()
	late := time.After(lateTime)
	for {
		changed, sessions, paths, opened := s.Inbox.Changed(), s.Registry.Changed(), s.paths.Changed(), s.opened.next()
		is, there := s.Registry.Find(c.id())
		if !there || !s.paths.Says(c.id()) || s.paths.Choose(c.id()) != localapi.PathHook {
			return nil
		}
		c.session = &is            // it may go on as another peer
		var again <-chan time.Time // where there was no time to look at all that waits
		if is.MessageMode != localapi.ModeInbox && s.paths.Rests(c.id()) {
			began := s.Now()
			waits, goesOn, err := s.waits(ctx, c)
			if err != nil {
				return err
			}
			if waits {
				if err := sub.event("", localapi.EventWake, localapi.Wake{Text: wakeText}); err != nil {
					return err
				}
				return sub.flush.Flush()
			}
			if goesOn {
				again = time.After(0)
			}
			select { // what happens meanwhile is not missed
			case <-ctx.Done():
			case <-s.ending:
			case <-ended:
			case <-time.After(restAfter(s.Now().Sub(began))):
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.ending:
			return nil
		case <-ended:
			return nil
		case <-changed:
		case <-sessions:
		case <-paths:
		case <-opened:
		case <-again:
		case <-late: // what the host wrote down after the hook that ended the turn need not wait for the next one
			if _, _, err := s.reread(ctx, c.id(), s.transcripts.path(c.id())); err != nil {
				return err
			}
		case <-keepalive.C:
			if err := sub.comment("keepalive"); err != nil {
				return err
			}
		}
	}
}

// waits reports whether there is a message that the hook of a session would show it now; goesOn where there was no time to
// look at all of them.
func (s hookRoutes) waits(ctx context.Context, c caller) (waits, goesOn bool, err error) {
	is, _ := s.Registry.Find(c.id())
	if is.MessageMode == localapi.ModeOff {
		return false, false, nil
	}
	places, err := room(ctx, s.Server, c.id(), 1)
	if err != nil || places == 0 {
		return false, false, err
	}
	to := surfaceOf(c)
	to.Path = localapi.PathHook
	v, err := offering(ctx, s.Server, c.id())
	if err != nil {
		return false, false, err
	}
	offers := inbox.OfferingsOf(s.Inbox)
	rows, err := offers.Waiting(ctx, to, 1, v.offers(func(gate.Reason) {}))
	return len(rows) > 0, offers.Unfinished(to), err
}
