// Package group lets peers enter and leave groups, and tells which groups a mesh has.
package group

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Seating is who knows the groups of the connections.
type Seating interface {
	JoinGroup(context.Context, hub.ConnID, protocol.Group) ([]protocol.Group, error)
	LeaveGroup(context.Context, hub.ConnID, string) ([]protocol.Group, error)
}

// Groups answers join_group, leave_group and list_groups. Its fields are set once; it may be used from any goroutine.
type Groups struct {
	DB      *sqlite.DB
	Seating Seating
	Here    func(context.Context, *session.Session) ([]hub.Conn, error) // the connections that a caller sees, oldest first
	Seen    time.Duration                                               // how long a group is remembered after it was last in use
	Now     mesh.Clock
}

// Bind registers the handlers.
func (g *Groups) Bind(m *wire.Mux[*session.Session]) {
	wire.Handle(m, protocol.JoinGroup, g.join)
	wire.Handle(m, protocol.LeaveGroup, g.leave)
	wire.Handle(m, protocol.GroupList, g.list)
}

// maxRoleRunes bounds a role; the rest is cut off, as in a hello.
const maxRoleRunes = 256

// everyone is a name that means the whole mesh, and so no group.
const everyone = "all"

func (g *Groups) join(ctx context.Context, s *session.Session, req protocol.JoinGroupRequest) (protocol.GroupsAnswer, error) {
	name, err := mesh.ParseGroup(req.Name)
	if err != nil {
		return protocol.GroupsAnswer{}, err
	}
	if name == everyone {
		return protocol.GroupsAnswer{}, mesh.Errorf(mesh.BadName, "everyone is in @%s", everyone)
	}
	groups, err := g.Seating.JoinGroup(ctx, s.Conn, protocol.Group{Name: name, Role: tidyRole(req.Role)})
	return protocol.GroupsAnswer{Groups: groups}, err
}

func (g *Groups) leave(ctx context.Context, s *session.Session, req protocol.LeaveGroupRequest) (protocol.GroupsAnswer, error) {
	name, err := mesh.ParseGroup(req.Name)
	if err != nil {
		return protocol.GroupsAnswer{}, err
	}
	groups, err := g.Seating.LeaveGroup(ctx, s.Conn, name)
	return protocol.GroupsAnswer{Groups: groups}, err
}

func tidyRole(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) > maxRoleRunes {
		text = string([]rune(text)[:maxRoleRunes])
	}
	return text
}

// Bounds of a page; its longest frame is within what a client reads.
const (
	maxPageRows = 500
	maxNames    = 50
)

func (g *Groups) list(ctx context.Context, s *session.Session, req protocol.GroupListRequest) (protocol.GroupListAnswer, error) {
	if req.Limit < 0 || req.Limit > maxPageRows {
		return protocol.GroupListAnswer{}, mesh.Errorf(mesh.BadRequest, "limit is 1 to %d", maxPageRows)
	}
	limit := maxPageRows
	if req.Limit > 0 {
		limit = req.Limit
	}
	conns, err := g.Here(ctx, s)
	if err != nil {
		return protocol.GroupListAnswer{}, err
	}
	var seats []store.Seated
	err = g.DB.Read(ctx, func(tx *sqlite.Tx) error {
		seats, err = store.ListGroups(tx, s.Mesh, g.Now().Add(-g.Seen))
		return err
	})
	if err != nil {
		return protocol.GroupListAnswer{}, err
	}
	all := gather(conns, seats)
	from := slices.IndexFunc(all, func(i protocol.GroupInfo) bool { return i.Name > req.After })
	if from < 0 {
		return protocol.GroupListAnswer{Groups: []protocol.GroupInfo{}}, nil
	}
	page := protocol.GroupListAnswer{Groups: all[from:min(from+limit, len(all))]}
	if from+limit < len(all) {
		page.Next = page.Groups[limit-1].Name
	}
	return page, nil
}

// gather puts together who is in a group now and who is remembered to be, by group. A connection that is not written
// down yet counts; its member's name is then its own.
func gather(conns []hub.Conn, seats []store.Seated) []protocol.GroupInfo {
	for _, c := range conns {
		for _, g := range c.Groups {
			seats = append(seats, store.Seated{Group: g.Name, Member: c.Member, Name: c.Name})
		}
	}
	slices.SortStableFunc(seats, func(a, b store.Seated) int { return strings.Compare(a.Group, b.Group) })
	sessions := map[string]int{}
	for _, c := range conns {
		for _, g := range c.Groups {
			if c.SessionKey != "" {
				sessions[g.Name]++
			}
		}
	}
	var all []protocol.GroupInfo
	var counted map[mesh.ID]bool
	for _, s := range seats {
		if len(all) == 0 || all[len(all)-1].Name != s.Group {
			all = append(all, protocol.GroupInfo{Name: s.Group, Sessions: sessions[s.Group], Members: []string{}})
			counted = map[mesh.ID]bool{}
		}
		if counted[s.Member] {
			continue
		}
		counted[s.Member] = true
		info := &all[len(all)-1]
		if info.Count++; len(info.Members) < maxNames {
			info.Members = append(info.Members, s.Name)
		}
	}
	return all
}
