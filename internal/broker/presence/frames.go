package presence

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Bounds of what a peer tells of itself, in characters; the rest is cut off.
const (
	maxSummary      = 500
	maxAvatar       = 256
	maxTitle        = 128
	maxBio          = 1000
	maxCapabilities = 32
	maxCapability   = 64
	maxKept         = 512 // session keys that a daemon serves
)

// Bind registers the handlers of the presence frames (wire 7.2).
func (p *Presence) Bind(m *wire.Mux[*session.Session]) {
	wire.Handle(m, protocol.SetStatus, p.setStatus)
	wire.Handle(m, protocol.SetSummary, p.setSummary)
	wire.Handle(m, protocol.SetVisible, p.setVisible)
	wire.Handle(m, protocol.SetProfile, p.setProfile)
	wire.Handle(m, protocol.SetStats, p.setStats)
	wire.Handle(m, protocol.KeepSessions, p.keepSessions)
}

// change applies fn to the caller's presence and saves it. Whose connection is over by now changes nothing.
func (p *Presence) change(s *session.Session, fn func(e *entry, now time.Time) error) (protocol.Done, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.book.conns[s.Conn]
	if e == nil {
		return protocol.Done{}, nil
	}
	if err := fn(e, p.opt.Now()); err != nil {
		return protocol.Done{}, err
	}
	p.save(e, true)
	p.publish()
	return protocol.Done{}, nil
}

func (p *Presence) setStatus(_ context.Context, s *session.Session, req protocol.SetStatusRequest) (protocol.Done, error) {
	status, err := ParseStatus(req.Status)
	if err != nil {
		return protocol.Done{}, err
	}
	source, err := ParseSource(req.Source)
	if err != nil {
		return protocol.Done{}, err
	}
	return p.change(s, func(e *entry, now time.Time) error {
		e.Mood = p.book.rules.Write(e.Mood, status, source, now)
		if e.Status != e.Mood.Status {
			e.Status = e.Mood.Status
			p.opt.SetStatus(e.ID, e.Status)
		}
		return nil
	})
}

func (p *Presence) setSummary(_ context.Context, s *session.Session, req protocol.SetSummaryRequest) (protocol.Done, error) {
	return p.change(s, func(e *entry, _ time.Time) error {
		e.Summary = text(req.Summary, maxSummary)
		return nil
	})
}

func (p *Presence) setVisible(_ context.Context, s *session.Session, req protocol.SetVisibleRequest) (protocol.Done, error) {
	return p.change(s, func(e *entry, now time.Time) error {
		if e.Hidden == !req.Visible {
			return nil
		}
		if !e.bell.ring(now) {
			return mesh.Errorf(mesh.RateLimited, "hidden and shown too often: wait a moment")
		}
		p.book.show(e, req.Visible)
		return nil
	})
}

func (p *Presence) setProfile(_ context.Context, s *session.Session, req protocol.SetProfileRequest) (protocol.Done, error) {
	return p.change(s, func(e *entry, _ time.Time) error {
		for _, field := range []struct {
			to    *string
			said  *string
			limit int
		}{
			{&e.Profile.Avatar, req.Avatar, maxAvatar}, {&e.Profile.Title, req.Title, maxTitle}, {&e.Profile.Bio, req.Bio, maxBio},
		} {
			if field.said != nil {
				*field.to = text(*field.said, field.limit)
			}
		}
		if req.Capabilities != nil {
			e.Profile.Capabilities = capabilities(req.Capabilities)
		}
		return nil
	})
}

func capabilities(said []string) []string {
	var kept []string // a new slice: the old one may be on its way to somebody
	for _, c := range said[:min(len(said), maxCapabilities)] {
		if c = text(c, maxCapability); c != "" {
			kept = append(kept, c)
		}
	}
	return kept
}

func (p *Presence) setStats(_ context.Context, s *session.Session, req protocol.SetStatsRequest) (protocol.Done, error) {
	return p.change(s, func(e *entry, _ time.Time) error {
		e.Stats = &req.Stats
		return nil
	})
}

// keepSessions ends what a daemon of ours does not serve any more: sessions that ended while it was down.
func (p *Presence) keepSessions(_ context.Context, s *session.Session, req protocol.KeepSessionsRequest) (protocol.KeepSessionsAnswer, error) {
	switch {
	case !s.Go || s.PeerRole != mesh.ControlPlane:
		return protocol.KeepSessionsAnswer{}, mesh.Errorf(mesh.Forbidden, "this is for a daemon")
	case len(req.Keys) > maxKept:
		return protocol.KeepSessionsAnswer{}, mesh.Errorf(mesh.BadRequest, "at most %d keys", maxKept)
	}
	keys := map[mesh.Key]bool{}
	for _, k := range req.Keys {
		keys[k] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	daemon := p.book.conns[s.Conn]
	if daemon == nil {
		return protocol.KeepSessionsAnswer{}, nil // its connection is over
	}
	ended := p.book.keep(daemon, keys)
	p.ended(ended)
	return protocol.KeepSessionsAnswer{Ended: len(ended)}, nil
}

// bell bounds the events that one peer makes all others hear.
type bell struct {
	since time.Time
	rung  int
}

// A peer may ring so often in such a time.
const (
	bellLimit = 10
	bellSpan  = 10 * time.Second
)

func (b *bell) ring(now time.Time) bool {
	if age := now.Sub(b.since); age < 0 || age >= bellSpan {
		*b = bell{since: now}
	}
	b.rung++
	return b.rung <= bellLimit
}

// text cuts what a peer said and takes out what commands a terminal or reorders what is around it.
func text(said string, limit int) string {
	said = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, said))
	if utf8.RuneCountInString(said) > limit {
		said = string([]rune(said)[:limit])
	}
	return said
}

// encodeData writes the data of an event.
func encodeData(e protocol.PeerEvent) (wire.RawMessage, error) {
	data, err := wire.Encode(e)
	return wire.RawMessage(data), err
}
