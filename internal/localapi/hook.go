package localapi

import "github.com/claudemesh/claudemesh/internal/mesh"

// HookRequest is what a hook of a host tells of its session: as much of it as the host said.
type HookRequest struct {
	SessionID      string      `json:"session_id,omitzero" jsonschema:"as the host calls it now; it changes when a conversation is cleared"`
	Event          string      `json:"event" jsonschema:"the host's name of it"`
	Status         mesh.Status `json:"status,omitzero" jsonschema:"idle or working, if the event says that"`
	PermissionMode string      `json:"permission_mode,omitzero" jsonschema:"how much the session does without asking, as the host calls it"`
	Attempts       []string    `json:"attempts,omitzero" jsonschema:"attempt tokens that the host showed outside of any text, at most 1000"`
}

// HookAnswer is what the session may be told.
type HookAnswer struct {
	Name     string   `json:"name" jsonschema:"what others call the session"`
	Meshes   []string `json:"meshes"`
	Surfaced int      `json:"surfaced" jsonschema:"messages of which it was not known before that they were shown"`
}

// Hook is for the hooks of a host.
var Hook = Define[HookRequest, HookAnswer](Spec{
	Route: "POST /v1/hooks", Feature: "hooks", Scope: Anyone, BodyLimit: 256 << 10,
	Summary: "Tell what a hook of a host knows of its session: state, permission mode, messages that were shown.",
})
