package localapi

// StatusLineMesh is one mesh as a status line shows it.
type StatusLineMesh struct {
	Mesh   string `json:"mesh"`
	Status string `json:"status" jsonschema:"of the connection: open, connecting, ..."`
	Online int    `json:"online" jsonschema:"peers that are connected, as the daemon heard last"`
	Peers  int    `json:"peers" jsonschema:"peers that it knows; 0: it has heard of none yet"`
}

// StatusLineAnswer is what a host shows below its prompt: numbers and own names, nothing that others wrote.
type StatusLineAnswer struct {
	Name   string           `json:"name,omitzero" jsonschema:"what others call the session around the caller"`
	Mode   string           `json:"message_mode,omitzero" jsonschema:"of that session: push, inbox or off"`
	Meshes []StatusLineMesh `json:"meshes" jsonschema:"that the session, or outside of one the user, is in"`
	Unread int              `json:"unread"`
	Held   int              `json:"held" jsonschema:"of the unread ones, those that are kept from the session for its human"`
	Asked  int              `json:"approvals" jsonschema:"permissions that sessions of this user wait for, here and on the other devices"`
}

// StatusLine is read by `claudemesh status-line`, which hosts run again and again.
var StatusLine = Define[None, StatusLineAnswer](Spec{
	Route: "GET /v1/glance", Feature: "glance", Scope: Anyone,
	Summary: "Read the numbers of a status line, of the session around the caller; nothing is waited for.",
})
