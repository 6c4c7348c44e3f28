package localapi

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// PeersRequest asks who is there.
type PeersRequest struct {
	Mesh    string `json:"mesh,omitzero"`
	All     bool   `json:"all,omitzero" jsonschema:"daemons too"`
	Offline bool   `json:"offline,omitzero" jsonschema:"known peers without a connection too"`
}

// Peer is one row of the roster with what this daemon adds.
type Peer struct {
	protocol.Peer
	Mesh          string `json:"mesh"`
	IsSelf        bool   `json:"isSelf" jsonschema:"of the same member"`
	IsThisSession bool   `json:"isThisSession"`
	Verified      bool   `json:"verified" jsonschema:"the name is proved; false: claimed by the relay"`
	Blocked       bool   `json:"blocked,omitzero" jsonschema:"you let it do nothing"`
}

// MeshState says whether a mesh's roster is current, so that "nobody" and "not connected" differ.
type MeshState struct {
	Mesh   string    `json:"mesh"`
	Status string    `json:"status"`
	OK     bool      `json:"ok"`
	Code   mesh.Code `json:"code,omitzero" jsonschema:"why it is not, where it does not come back by itself"`
	Detail string    `json:"detail,omitzero" jsonschema:"the same as one sentence"`
}

// PeersAnswer is the roster of the meshes asked for; own rows first.
type PeersAnswer struct {
	Peers  []Peer      `json:"peers"`
	Meshes []MeshState `json:"meshes"`
}

// Peers reads the roster.
var Peers = Define[PeersRequest, PeersAnswer](Spec{
	Route: "GET /v1/peers", Feature: "peers", Scope: User, Tool: "list_peers", Summary: "List who is in the joined meshes.",
})

// MembersRequest asks who belongs to the joined meshes.
type MembersRequest struct {
	Mesh   string `json:"mesh,omitzero" jsonschema:"slug; empty means every joined mesh"`
	Online bool   `json:"online,omitzero" jsonschema:"only who is connected"`
}

// Member is a member of a mesh with what this daemon knows of its key.
type Member struct {
	protocol.Member
	Mesh     string `json:"mesh"`
	IsSelf   bool   `json:"isSelf"`
	Verified bool   `json:"verified" jsonschema:"the name is proved; false: claimed by the relay"`
}

// MembersAnswer lists them mesh by mesh.
type MembersAnswer struct {
	Members []Member    `json:"members"`
	Meshes  []MeshState `json:"meshes"`
}

// Members reads who belongs to the meshes.
var Members = Define[MembersRequest, MembersAnswer](Spec{
	Route: "GET /v1/members", Feature: "members", Scope: User, Summary: "List who belongs to the joined meshes, connected or not.",
})
