package localapi

// The paths by which messages come into a session, in the order in which they are tried (design E1).
const (
	PathSocket  = "socket"  // our MCP server, a child of the session, posts to the host's inbox
	PathChannel = "channel" // our MCP server sends channel notifications
	PathHook    = "hook"    // our hooks give the host context, and wake it
	PathTool    = "tool"    // answers of our tools bring along what waits
	PathPoll    = "poll"    // nobody is shown anything: the inbox is asked
)

// Paths lists them.
func Paths() []string { return []string{PathSocket, PathChannel, PathHook, PathTool, PathPoll} }

// The states of a path.
const (
	PathProved   = "proved"
	PathUsable   = "usable"
	PathDoubtful = "doubtful"
	PathUnusable = "unusable"
)

// Path is one path into a session.
type Path struct {
	Path     string `json:"path" jsonschema:"socket, channel, hook, tool or poll"`
	State    string `json:"state" jsonschema:"proved: the host gave back what only a message shown by it carries; usable: nothing speaks against it; doubtful: a whole turn went by and what was offered by it was not seen; unusable"`
	Since    string `json:"since,omitzero" jsonschema:"when it came into this state"`
	Reason   string `json:"reason,omitzero" jsonschema:"why it is unusable or doubtful"`
	Offered  int    `json:"offered" jsonschema:"messages of the session that were written to it"`
	Surfaced int    `json:"surfaced" jsonschema:"messages of which it is proved that they were shown by it"`
	LastSeen string `json:"last_proved_at,omitzero" jsonschema:"when the last of these was"`
}

// SessionPaths are the paths into one session.
type SessionPaths struct {
	SessionID   string `json:"session_id"`
	DisplayName string `json:"display_name"`
	Host        Host   `json:"host,omitzero"`
	MessageMode string `json:"message_mode,omitzero"`
	Chosen      string `json:"chosen" jsonschema:"the path that the next message takes"`
	Wakes       bool   `json:"wakes" jsonschema:"by it a message starts a turn of a session that rests"`
	LastHook    string `json:"last_hook_at,omitzero" jsonschema:"when a hook of the session was heard last, since the daemon started"`
	Paths       []Path `json:"paths" jsonschema:"all of them, in the order in which they are tried"`
}

// SessionPathsAnswer lists the paths into the registered sessions.
type SessionPathsAnswer struct {
	Sessions []SessionPaths `json:"sessions"`
}

// OpenPathsRequest says which paths a process in the session has now: they may come and go while it runs.
type OpenPathsRequest struct {
	Paths []string `json:"paths" jsonschema:"of socket, channel and tool"`
}

// How messages reach sessions.
var (
	OpenPaths = Define[OpenPathsRequest, None](Spec{
		Route: "POST /v1/sessions/me/paths", Feature: "sessions", Scope: User, BodyLimit: 4 << 10,
		Summary: "Say which paths a process in the session has, beside those of the daemon.",
	})
	SessionPathsList = Define[None, SessionPathsAnswer](Spec{
		Route: "GET /v1/sessions/paths", Feature: "sessions", Scope: User,
		Summary: "List the registered sessions with the paths by which messages reach them: which there are, which is proved, and since when.",
	})
)
