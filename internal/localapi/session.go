package localapi

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Host is the program that a session runs in.
type Host struct {
	Name    string `json:"name" jsonschema:"claude-code, codex, ..."`
	Version string `json:"version,omitzero"`
}

// How a session takes its messages (mcp 2.5). All of them are in its inbox.
const (
	ModePush  = "push"  // shown when they come
	ModeInbox = "inbox" // told of when they come, without their text
	ModeOff   = "off"   // nothing until the mode is another one
)

// Modes lists them.
func Modes() []string { return []string{ModePush, ModeInbox, ModeOff} }

// RegisterRequest announces a host session (design C6). The caller must descend from pid, or be it.
type RegisterRequest struct {
	SessionID   string           `json:"session_id"`
	PID         int              `json:"pid" jsonschema:"of the host process"`
	CWD         string           `json:"cwd"`
	DisplayName string           `json:"display_name,omitzero"`
	Role        string           `json:"role,omitzero"`
	Groups      []protocol.Group `json:"groups,omitzero"`
	MessageMode string           `json:"message_mode,omitzero" jsonschema:"push, inbox or off"`
	Host        Host             `json:"host,omitzero"`
	Mesh        string           `json:"mesh,omitzero" jsonschema:"slug; empty means every joined mesh"`
	OldToken    string           `json:"old_token,omitzero" jsonschema:"needed to replace a registration whose process lives"`
}

// LaunchRequest says what a human allows the session that the calling process is about to become.
type LaunchRequest struct {
	AcceptFrom []string `json:"accept_from" jsonschema:"peers by name, key or key prefix, and @self for the user's other sessions here: they reach it also while it acts alone"`
	Mesh       string   `json:"mesh,omitzero" jsonschema:"slug; empty means every joined mesh"`
}

// LaunchAnswer says who was meant.
type LaunchAnswer struct {
	Accepted []Accepted `json:"accepted"`
}

// Accepted is somebody who may reach a session that acts alone.
type Accepted struct {
	Mesh   mesh.ID  `json:"mesh_id"`
	Member mesh.Key `json:"member" jsonschema:"member key"`
	Name   string   `json:"name"`
	IsSelf bool     `json:"is_self,omitzero"`
}

// SessionMesh is the session in one mesh.
type SessionMesh struct {
	Mesh          string   `json:"mesh"`
	SessionPubkey mesh.Key `json:"session_pubkey"`
	DisplayName   string   `json:"display_name"`
	Status        string   `json:"status,omitzero"`
}

// RegisterAnswer gives the session its token. The same token stands in a 0600 file of the daemon's folder.
type RegisterAnswer struct {
	OK       bool          `json:"ok"`
	Token    string        `json:"token"`
	Sessions []SessionMesh `json:"sessions"`
}

// Session is a registered session without its secrets.
type Session struct {
	SessionID   string           `json:"session_id"`
	PID         int              `json:"pid"`
	CWD         string           `json:"cwd"`
	DisplayName string           `json:"display_name"`
	Role        string           `json:"role,omitzero"`
	Groups      []protocol.Group `json:"groups,omitzero"`
	MessageMode string           `json:"message_mode,omitzero"`
	Host        Host             `json:"host,omitzero"`
	Mode        string           `json:"permission_mode,omitzero" jsonschema:"of the host; decides what is held"`
	Holds       bool             `json:"holds" jsonschema:"messages of others are held for its human"`
	AcceptFrom  []Accepted       `json:"accept_from,omitzero" jsonschema:"who reaches it also while it acts alone"`
	TokenPrefix string           `json:"token_prefix"`
	Sessions    []SessionMesh    `json:"sessions"`
	Registered  string           `json:"registered_at"`
}

// SessionsAnswer lists the registered sessions.
type SessionsAnswer struct {
	Sessions []Session `json:"sessions"`
}

// DeregisterRequest ends a registration.
type DeregisterRequest struct {
	Token string `json:"token"`
}

// DeregisterAnswer confirms it.
type DeregisterAnswer struct {
	OK          bool   `json:"ok"`
	TokenPrefix string `json:"token_prefix"`
}

// WhoamiAnswer is the caller as the daemon sees it.
type WhoamiAnswer struct {
	User       string   `json:"user"`
	Meshes     []Mesh   `json:"meshes"`
	ConfigPath string   `json:"config_path"`
	Session    *Session `json:"session,omitzero"`
}

// Sessions.
var (
	SessionRegister = Define[RegisterRequest, RegisterAnswer](Spec{
		Route: "POST /v1/sessions/register", Feature: "sessions", Scope: Anyone, BodyLimit: 64 << 10,
		Summary: "Announce a host session; it gets its own keys, connections and token.",
	})
	SessionLaunch = Define[LaunchRequest, LaunchAnswer](Spec{
		Route: "POST /v1/sessions/launch", Feature: "sessions", Scope: HumanOnly,
		Summary: "Say who may reach the session that the calling process becomes, also while it acts alone.",
	})
	SessionDeregister = Define[DeregisterRequest, DeregisterAnswer](Spec{
		Route: "DELETE /v1/sessions/{token}", Feature: "sessions", Scope: Anyone,
		Summary: "End a session's registration.",
	})
	SessionMe = Define[None, Session](Spec{
		Route: "GET /v1/sessions/me", Feature: "sessions", Scope: User, Summary: "Read the caller's own session.",
	})
	Sessions = Define[None, SessionsAnswer](Spec{
		Route: "GET /v1/sessions", Feature: "sessions", Scope: User, Summary: "List the registered sessions.",
	})
	Whoami = Define[None, WhoamiAnswer](Spec{
		Route: "GET /v1/whoami", Feature: "whoami", Scope: User, Summary: "Read who the caller is: meshes and session.",
	})
)
