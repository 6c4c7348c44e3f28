package node

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// groupTime bounds one question about groups.
const groupTime = 5 * time.Second

// Bounds of what is said of groups; the broker has the same.
const (
	maxRoleRunes  = 256
	maxGroupPages = 20
)

// Groups are the groups of this user's sessions and members.
type Groups struct{ node *Node }

// NewGroups returns those of a node.
func NewGroups(n *Node) Groups { return Groups{n} }

// Join puts a session, or for an empty session id the user's own member, into a group.
func (v Groups) Join(ctx context.Context, sessionID string, req localapi.GroupRequest) (localapi.GroupAnswer, error) {
	name, err := groupName(req.Name)
	if err != nil {
		return localapi.GroupAnswer{}, err
	}
	if err := checkRole(req.Role); err != nil {
		return localapi.GroupAnswer{}, err
	}
	g := protocol.Group{Name: name, Role: req.Role}
	return v.regroup(ctx, sessionID, req.Mesh, g, func(groups []protocol.Group) ([]protocol.Group, error) {
		switch i := attachment.Index(groups, name); {
		case i >= 0:
			groups[i] = g
		case len(groups) >= attachment.MaxGroups:
			return nil, mesh.Errorf(mesh.BadRequest, "a session is in at most %d groups", attachment.MaxGroups)
		default:
			groups = append(groups, g)
		}
		return groups, nil
	})
}

// Leave takes it out. Not to be in the group is no error.
func (v Groups) Leave(ctx context.Context, sessionID string, req localapi.GroupRequest) (localapi.GroupAnswer, error) {
	name, err := groupName(req.Name)
	if err != nil {
		return localapi.GroupAnswer{}, err
	}
	return v.regroup(ctx, sessionID, req.Mesh, protocol.Group{Name: name}, func(groups []protocol.Group) ([]protocol.Group, error) {
		return slices.DeleteFunc(groups, func(g protocol.Group) bool { return g.Name == name }), nil
	})
}

// Set puts a session, or the user's own member, into these groups and no others.
func (v Groups) Set(ctx context.Context, sessionID, slug string, groups []protocol.Group) (localapi.GroupAnswer, error) {
	all := []protocol.Group{}
	for _, g := range groups {
		name, err := groupName(g.Name)
		if err == nil {
			err = checkRole(g.Role)
		}
		if err != nil {
			return localapi.GroupAnswer{}, err
		}
		if attachment.Index(all, name) < 0 {
			all = append(all, protocol.Group{Name: name, Role: g.Role})
		}
	}
	if len(all) > attachment.MaxGroups {
		return localapi.GroupAnswer{}, mesh.Errorf(mesh.BadRequest, "a session is in at most %d groups", attachment.MaxGroups)
	}
	return v.regroup(ctx, sessionID, slug, protocol.Group{}, func([]protocol.Group) ([]protocol.Group, error) { return slices.Clone(all), nil })
}

func checkRole(role string) error {
	if utf8.RuneCountInString(role) > maxRoleRunes || strings.ContainsFunc(role, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return mesh.Errorf(mesh.BadRequest, "a role has at most %d characters that can be seen", maxRoleRunes)
	}
	return nil
}

// groupName reads the name of a group that can be joined.
func groupName(text string) (string, error) {
	name, err := mesh.ParseGroup(text)
	if err == nil && name == "all" {
		err = mesh.Errorf(mesh.BadName, "everyone is in @all")
	}
	return name, err
}

// regroup changes the groups in every mesh that is meant, and tells the brokers.
func (v Groups) regroup(ctx context.Context, sessionID, slug string, g protocol.Group, change func([]protocol.Group) ([]protocol.Group, error)) (localapi.GroupAnswer, error) {
	answer := localapi.GroupAnswer{Group: g.Name, Role: g.Role, Meshes: []string{}}
	seats, err := v.seats(sessionID, slug)
	if err != nil {
		return answer, err
	}
	for _, s := range seats {
		if err := s.Change(ctx, change); err != nil {
			return answer, err
		}
	}
	for _, s := range seats {
		told, err := s.Tell(ctx)
		switch {
		case told:
			answer.Meshes = append(answer.Meshes, s.At.Mesh.Slug)
		case err == nil, mesh.IsCode(err, mesh.BrokerDown), mesh.IsCode(err, mesh.Timeout):
			answer.Pending = append(answer.Pending, s.At.Mesh.Slug)
		default:
			return answer, err
		}
	}
	return answer, nil
}

// seats lists the places of a session, or of the member, in the meshes that are meant.
func (v Groups) seats(sessionID, slug string) ([]*attachment.Seating, error) {
	meshes, err := narrow(v.node, slug)
	if err != nil {
		return nil, err
	}
	var all []*attachment.Seating
	for _, at := range meshes {
		if sessionID == "" {
			all = append(all, at.Seating)
		} else if s := at.Sessions.Find(sessionID); s != nil {
			all = append(all, s.Seating)
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case len(meshes) == 0:
		return nil, mesh.Errorf(mesh.NothingJoined, "no mesh is joined")
	}
	return nil, mesh.Errorf(mesh.MeshNotAttached, "this session is not in that mesh")
}

// Of lists the groups of a session in any of its meshes, by name.
func (v Groups) Of(sessionID string) []protocol.Group {
	all := []protocol.Group{}
	for _, at := range v.node.meshes() {
		s := at.Sessions.Find(sessionID)
		if s == nil {
			continue
		}
		for _, g := range s.Seating.Now() {
			if attachment.Index(all, g.Name) < 0 {
				all = append(all, g)
			}
		}
	}
	slices.SortFunc(all, func(a, b protocol.Group) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// List lists the groups of the meshes asked for.
func (v Groups) List(ctx context.Context, sessionID string, req localapi.GroupsRequest) (localapi.GroupsAnswer, error) {
	answer := localapi.GroupsAnswer{Groups: []localapi.Group{}, Meshes: []localapi.MeshState{}}
	meshes, err := narrow(v.node, req.Mesh)
	if err != nil {
		return answer, err
	}
	for _, at := range meshes {
		state := localapi.MeshState{Mesh: at.Mesh.Slug, Status: string(at.Link.State())}
		found, err := listGroups(ctx, at)
		if state.OK = err == nil; err != nil {
			state.Code, state.Detail = mesh.CodeOf(err), mesh.PublicText(err)
			v.node.opt.Log.Info("groups not read", logkey.Mesh, at.Mesh.Slug, logkey.Err, err)
		}
		answer.Meshes = append(answer.Meshes, state)
		answer.Groups = append(answer.Groups, withOwn(found, at, sessionID)...)
	}
	return answer, nil
}

// listGroups asks the broker for its groups.
func listGroups(ctx context.Context, a *attachment.Attachment) ([]localapi.Group, error) {
	var all []localapi.Group
	req := protocol.GroupListRequest{}
	for range maxGroupPages {
		page, err := attachment.Ask(ctx, a, groupTime, protocol.GroupList, req)
		if err != nil {
			return nil, err
		}
		for _, g := range page.Groups {
			for i, name := range g.Members {
				g.Members[i] = mesh.SafeName(name, "member")
			}
			all = append(all, localapi.Group{Name: g.Name, Mesh: a.Mesh.Slug, Sessions: g.Sessions, Count: g.Count, Members: g.Members})
		}
		if page.Next == "" {
			break
		}
		req.After = page.Next
	}
	return all, nil
}

// withOwn marks the groups that a session, or the member, is in, and adds those that the broker did not name.
func withOwn(all []localapi.Group, a *attachment.Attachment, sessionID string) []localapi.Group {
	seat := a.Seating
	if s := a.Sessions.Find(sessionID); s != nil {
		seat = s.Seating
	}
	for _, own := range seat.Now() {
		i := slices.IndexFunc(all, func(g localapi.Group) bool { return g.Name == own.Name })
		if i < 0 {
			i, all = len(all), append(all, localapi.Group{Name: own.Name, Mesh: a.Mesh.Slug, Members: []string{}})
		}
		all[i].Joined, all[i].Role = true, own.Role
	}
	return all
}
