package localapi

import (
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// GroupRequest puts the caller into a group, or takes it out: its session, or outside of one the user's own member.
type GroupRequest struct {
	Name string `json:"name" jsonschema:"group path, with or without @"`
	Role string `json:"role,omitzero" jsonschema:"the caller's role in it, free text; of join only"`
	Mesh string `json:"mesh,omitzero" jsonschema:"slug; empty means every mesh that the caller is in"`
}

// GroupAnswer says where it counts. What is pending counts when the mesh is connected again.
type GroupAnswer struct {
	Group   string   `json:"group" jsonschema:"path without @"`
	Role    string   `json:"role,omitzero"`
	Meshes  []string `json:"meshes" jsonschema:"where the broker knows of it"`
	Pending []string `json:"pending,omitzero" jsonschema:"where it hears of it with the next connection"`
}

// GroupsRequest lists groups.
type GroupsRequest struct {
	Mesh string `json:"mesh,omitzero"`
}

// Group is a group of a mesh.
type Group struct {
	Name     string   `json:"name" jsonschema:"path without @"`
	Mesh     string   `json:"mesh"`
	Joined   bool     `json:"joined" jsonschema:"the caller is in it"`
	Role     string   `json:"role,omitzero" jsonschema:"of the caller"`
	Sessions int      `json:"sessions" jsonschema:"sessions in it that are connected"`
	Count    int      `json:"count" jsonschema:"members in it, connected or not"`
	Members  []string `json:"members" jsonschema:"their names; at most 50"`
}

// GroupsAnswer lists the groups of the meshes that answered; of the others, those that the caller is in.
type GroupsAnswer struct {
	Groups []Group     `json:"groups"`
	Meshes []MeshState `json:"meshes"`
}

// Groups.
var (
	GroupJoin = Define[GroupRequest, GroupAnswer](Spec{
		Route: "POST /v1/groups/{name}/join", Feature: "groups", Scope: User, BodyLimit: 16 << 10,
		Summary: "Enter a group: what is sent to it, or to one above it, comes to the caller from now on.",
	})
	GroupLeave = Define[GroupRequest, GroupAnswer](Spec{
		Route: "POST /v1/groups/{name}/leave", Feature: "groups", Scope: User, BodyLimit: 16 << 10,
		Summary: "Leave a group.",
	})
	Groups = Define[GroupsRequest, GroupsAnswer](Spec{
		Route: "GET /v1/groups", Feature: "groups", Scope: User, Summary: "List the groups of the joined meshes.",
	})
)

// ParseGroups reads groups as a person writes them: names, with or without @, and a role behind a colon.
func ParseGroups(words []string) ([]protocol.Group, error) {
	groups := []protocol.Group{}
	for _, word := range words {
		name, role, _ := strings.Cut(strings.TrimSpace(word), ":")
		name, err := mesh.ParseGroup(name)
		if err != nil {
			return nil, err
		}
		groups = append(groups, protocol.Group{Name: name, Role: role})
	}
	return groups, nil
}
