package localapi

import "github.com/claudemesh/claudemesh/internal/mesh"

// The verbs of a change of grants.
const (
	VerbGrant   = "grant"   // add capabilities
	VerbRevoke  = "revoke"  // take them away
	VerbBlock   = "block"   // take all away
	VerbUnblock = "unblock" // back to the defaults
)

// GrantsRequest asks for the entries of a mesh.
type GrantsRequest struct {
	Mesh string `json:"mesh,omitzero" jsonschema:"may be left out where one is joined"`
}

// GrantsAnswer lists them. Everybody else has the defaults.
type GrantsAnswer struct {
	Mesh   string                  `json:"mesh"`
	Grants map[mesh.Key][]mesh.Cap `json:"grants" jsonschema:"by member key; an empty list is somebody who is blocked"`
	Names  map[mesh.Key]string     `json:"names" jsonschema:"of those who are known"`
}

// GrantRequest changes what the own member lets a peer do.
type GrantRequest struct {
	Verb string     `json:"verb" jsonschema:"grant, revoke, block or unblock"`
	Mesh string     `json:"mesh,omitzero" jsonschema:"may be left out where one is joined"`
	Peer string     `json:"peer" jsonschema:"name, key or a prefix of at least 16 characters; a session means its member"`
	Caps []mesh.Cap `json:"caps,omitzero" jsonschema:"for grant and revoke"`
}

// GrantAnswer is what holds for the peer now.
type GrantAnswer struct {
	Mesh       string     `json:"mesh"`
	Peer       string     `json:"peer,omitzero" jsonschema:"name of the member; empty when unknown"`
	Pubkey     mesh.Key   `json:"pubkey"`
	Caps       []mesh.Cap `json:"caps"`
	Default    bool       `json:"default,omitzero" jsonschema:"as for everybody without an entry"`
	BrokerTold bool       `json:"broker_told" jsonschema:"false: the daemon enforces it, the broker is told when it is connected"`
}

// Grants: what the own member lets others do.
var (
	Grants = Define[GrantsRequest, GrantsAnswer](Spec{
		Route: "GET /v1/grants", Feature: "grants", Scope: User, Summary: "List what others may do to the own member, where it is not the default.",
	})
	Grant = Define[GrantRequest, GrantAnswer](Spec{
		Route: "POST /v1/grants/{verb}", Feature: "grants", Scope: HumanOnly, BodyLimit: 16 << 10, Summary: "Grant, revoke, block or unblock a peer.",
	})
)
