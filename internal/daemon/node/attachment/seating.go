package attachment

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// MaxGroups bounds the groups of one session; the broker has the same. groupTime bounds telling it of one.
const (
	MaxGroups = 64
	groupTime = 5 * time.Second
)

// Seating is the groups of one connection, and what its broker was told of them.
type Seating struct {
	At        *Attachment
	sessionID string // empty: the user's own member
	Link      *uplink.Link
	turn      chan struct{} // holds a token while somebody changes the groups or tells the broker

	mu   sync.Mutex
	kept localdb.Groups   // its lists are replaced, never changed
	told []protocol.Group // in the last hello, and since
}

// newSeating reads what is remembered of a session, or of the member.
func newSeating(a *Attachment, sessionID string) *Seating {
	s := &Seating{At: a, sessionID: sessionID, turn: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), localTime) // our own file
	defer cancel()
	var err error
	if s.kept, err = a.opt.DB.FindGroups(ctx, sessionID, a.Mesh.ID); err != nil {
		a.opt.Log.Warn("groups not remembered", logkey.Mesh, a.Mesh.Slug, logkey.Err, err)
		s.kept = localdb.Groups{SessionID: sessionID, MeshID: a.Mesh.ID}
	}
	return s
}

// register takes in with which groups the session was registered. They count anew when they are others than before;
// what it joined and left by itself stays. It reports whether anything changed.
func (s *Seating) register(said []protocol.Group) bool {
	s.mu.Lock()
	same := slices.Equal(s.kept.Said, said)
	if !same {
		s.kept.Groups, s.kept.Said = regrouped(s.kept, said), said
		s.kept.Changed = s.At.opt.Now()
	}
	kept := s.kept
	s.mu.Unlock()
	if same {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), localTime) // our own file
	defer cancel()
	if err := s.At.opt.DB.SaveGroups(ctx, kept); err != nil {
		s.At.opt.Log.Warn("groups not remembered", logkey.Mesh, s.At.Mesh.Slug, logkey.Err, err)
	}
	return true
}

// regrouped is what becomes of the groups of a session that is registered with others than before.
func regrouped(kept localdb.Groups, said []protocol.Group) []protocol.Group {
	groups := slices.Clone(said)
	for _, g := range kept.Groups {
		if Index(kept.Said, g.Name) < 0 && Index(groups, g.Name) < 0 {
			groups = append(groups, g)
		}
	}
	return groups[:min(len(groups), MaxGroups)]
}

// Index finds a group by its name; -1 where it is not.
func Index(groups []protocol.Group, name string) int {
	return slices.IndexFunc(groups, func(g protocol.Group) bool { return g.Name == name })
}

// Now gives the groups as they are.
func (s *Seating) Now() []protocol.Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.Groups
}

// hello gives the groups for a hello, after which the broker knows them.
func (s *Seating) hello() []protocol.Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = s.kept.Groups
	return s.told
}

// Change writes other groups down.
func (s *Seating) Change(ctx context.Context, change func([]protocol.Group) ([]protocol.Group, error)) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.release()
	s.mu.Lock()
	next := s.kept
	s.mu.Unlock()
	var err error
	if next.Groups, err = change(slices.Clone(next.Groups)); err != nil {
		return err
	}
	next.Changed = s.At.opt.Now()
	if err := s.At.opt.DB.SaveGroups(ctx, next); err != nil {
		return err
	}
	s.mu.Lock()
	s.kept = next
	s.mu.Unlock()
	return nil
}

// take waits for the turn; release gives it back.
func (s *Seating) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Seating) release() { <-s.turn }

// Tell brings the broker up to date, on the connection that is open. False without one: the next hello says it all.
func (s *Seating) Tell(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, groupTime)
	defer cancel()
	if err := s.take(ctx); err != nil {
		return false, err
	}
	defer s.release()
	for {
		s.mu.Lock()
		told, groups := s.told, s.kept.Groups
		s.mu.Unlock()
		peer := s.Link.Peer()
		if peer == nil {
			return false, nil
		}
		next, left := nextTold(told, groups)
		var err error
		switch {
		case next == nil:
			return true, nil
		case left != "":
			err = say(ctx, s.Link, peer, protocol.LeaveGroup, protocol.LeaveGroupRequest{Name: left})
		default:
			g := next[len(next)-1]
			err = say(ctx, s.Link, peer, protocol.JoinGroup, protocol.JoinGroupRequest{Name: g.Name, Role: g.Role})
		}
		if err != nil {
			return false, err
		}
		s.mu.Lock()
		if slices.Equal(s.told, told) { // else a hello came between, which said more
			s.told = next
		}
		s.mu.Unlock()
	}
}

// tellLater is tell where nobody waits for it.
func (s *Seating) tellLater(ctx context.Context) error {
	if _, err := s.Tell(ctx); err != nil && ctx.Err() == nil {
		s.At.opt.Log.Info("groups not told", logkey.Mesh, s.At.Mesh.Slug, logkey.Err, err) // the next hello says it all
	}
	return nil
}

// say sends a request that a broker of ours answers, and an older one does not.
func say[Req, Resp any](ctx context.Context, l *uplink.Link, peer *wire.Peer, c wire.Call[Req, Resp], req Req) error {
	if !l.Has(protocol.CapGo) {
		return c.Send(ctx, peer, req)
	}
	_, err := c.Do(ctx, peer, req)
	return err
}

// nextTold is what the broker knows after the next frame: one group less, whose name is left, or its last one new. Nil
// when it knows all.
func nextTold(told, groups []protocol.Group) (next []protocol.Group, left string) {
	for i, t := range told {
		if Index(groups, t.Name) < 0 {
			return slices.Delete(slices.Clone(told), i, i+1), t.Name
		}
	}
	for _, g := range groups {
		i := Index(told, g.Name)
		if i >= 0 && told[i] == g {
			continue
		}
		next = slices.Clone(told)
		if i >= 0 {
			next = slices.Delete(next, i, i+1)
		}
		return append(next, g), ""
	}
	return nil, ""
}
