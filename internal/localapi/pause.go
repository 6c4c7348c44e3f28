package localapi

import "github.com/claudemesh/claudemesh/internal/mesh"

// PauseRequest says what is to be paused, or goes on: what comes from a peer, in a mesh, or both; neither is everything. What is
// to be muted, or is not any more, comes from a peer or to a group.
type PauseRequest struct {
	Mute bool   `json:"mute,omitzero" jsonschema:"mute it: sessions get it when they ask, and never by itself"`
	Peer string `json:"peer,omitzero" jsonschema:"name, key, or key prefix of 16 or more hex; a session means its member. To be muted, also a group with its @"`
	Mesh string `json:"mesh,omitzero" jsonschema:"slug"`
}

// Pause is something that the human has stopped for a while: it is kept, and no session is given it, or none that does not ask.
type Pause struct {
	Mesh   string   `json:"mesh" jsonschema:"slug; empty: all meshes"`
	Peer   string   `json:"peer" jsonschema:"name of the member; empty: everybody"`
	Pubkey mesh.Key `json:"pubkey,omitzero" jsonschema:"of the member"`
	Group  string   `json:"group,omitzero" jsonschema:"with its @, where it is about what comes to one"`
	Since  string   `json:"since"`
}

// PausesAnswer is what is paused and what is muted now, oldest first, and what the request changed of it.
type PausesAnswer struct {
	Paused  []Pause `json:"paused"`
	Muted   []Pause `json:"muted"`
	Changed []Pause `json:"changed"`
}

// Pauses: what sessions are not given for a while.
var (
	Pauses = Define[None, PausesAnswer](Spec{
		Route: "GET /v1/pauses", Feature: "pauses", Scope: User, Summary: "List what is paused, and what is muted.",
	})
	PauseBegin = Define[PauseRequest, PausesAnswer](Spec{
		Route: "POST /v1/pauses", Feature: "pauses", Scope: User, BodyLimit: 16 << 10,
		Summary: "Keep from all sessions what comes from a peer, in a mesh, or at all; or mute a peer or a group. Senders see it delivered, and not surfaced.",
	})
	PauseEnd = Define[PauseRequest, PausesAnswer](Spec{
		Route: "POST /v1/pauses/resume", Feature: "pauses", Scope: HumanOnly, BodyLimit: 16 << 10,
		Summary: "Give sessions what was kept from them, in its order: of a peer, of a mesh, or all; or end what mutes a peer or a group.",
	})
)
