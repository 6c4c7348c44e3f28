package protocol

import "github.com/claudemesh/claudemesh/internal/wire"

// JoinGroupRequest puts the caller's connection into a group (wire 7.2).
type JoinGroupRequest struct {
	Name string `json:"name" jsonschema:"group path, with or without @"`
	Role string `json:"role,omitzero" jsonschema:"the caller's role in it, free text"`
}

// LeaveGroupRequest takes it out again.
type LeaveGroupRequest struct {
	Name string `json:"name" jsonschema:"group path, with or without @"`
}

// GroupsAnswer are the caller's groups after the change.
type GroupsAnswer struct {
	Groups []Group `json:"groups"`
}

// GroupListRequest asks for a page of the groups of the mesh.
type GroupListRequest struct {
	Limit int    `json:"limit,omitzero" jsonschema:"1 to 500, default 500"`
	After string `json:"after,omitzero" jsonschema:"next of the page before"`
}

// GroupInfo is a group that somebody is in, or was in when seen last, at most 30 days ago (design D1).
type GroupInfo struct {
	Name     string   `json:"name" jsonschema:"group path without @"`
	Sessions int      `json:"sessions" jsonschema:"connections in it now"`
	Members  []string `json:"members" jsonschema:"names of its members, connected or not; at most 50"`
	Count    int      `json:"count" jsonschema:"how many members it has"`
}

// GroupListAnswer is a page, by name. Members of a group below another one are listed in their own only.
type GroupListAnswer struct {
	Groups []GroupInfo `json:"groups"`
	Next   string      `json:"next,omitzero" jsonschema:"after of the next page; empty at the end"`
}

// Groups.
var (
	JoinGroup = wire.Define[JoinGroupRequest, GroupsAnswer](wire.Spec{
		Type: "join_group", Reply: "group_joined", Quiet: true,
		Summary: "Enter a group: what is sent to it, or to one above it, comes here from now on.",
	})
	LeaveGroup = wire.Define[LeaveGroupRequest, GroupsAnswer](wire.Spec{
		Type: "leave_group", Reply: "group_left", Quiet: true,
		Summary: "Leave a group. Groups below it are others.",
	})
	GroupList = wire.Define[GroupListRequest, GroupListAnswer](wire.Spec{
		Type: "list_groups", Reply: "group_list", Ours: true, Summary: "List the groups of the mesh with their members.",
	})
)
