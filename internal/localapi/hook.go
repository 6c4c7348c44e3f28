package localapi

import "github.com/claudemesh/claudemesh/internal/mesh"

// HookRequest is what a hook of a host tells of its session: as much of it as the host said.
type HookRequest struct {
	SessionID      string      `json:"session_id,omitzero" jsonschema:"as the host calls it now; it changes when a conversation is cleared"`
	Event          string      `json:"event" jsonschema:"the host's name of it"`
	Source         string      `json:"source,omitzero" jsonschema:"of a beginning: startup, resume, clear, compact or fork"`
	Status         mesh.Status `json:"status,omitzero" jsonschema:"idle or working, if the event says that"`
	PermissionMode string      `json:"permission_mode,omitzero" jsonschema:"how much the session does without asking, as the host calls it"`
	Human          bool        `json:"human,omitzero" jsonschema:"the turn begins with words of its human"`
	Tool           string      `json:"tool,omitzero" jsonschema:"that was used, if the event says that"`
	InputSHA       string      `json:"input_sha256,omitzero" jsonschema:"of what it was given, in its canonical form"`
	Attempts       []string    `json:"attempts,omitzero" jsonschema:"attempt tokens that the host showed outside of any text, at most 1000"`
	Transcript     string      `json:"transcript,omitzero" jsonschema:"file in which the host writes down what the session is shown"`
	Again          bool        `json:"again,omitzero" jsonschema:"of Stop: a hook made the session go on before"`
	TakesContext   bool        `json:"takes_context,omitzero" jsonschema:"the hook can give the host text for the session; a caller without the session's token is given none"`
	Offered        []string    `json:"offered,omitzero" jsonschema:"attempt tokens of a context that was given to the host; nothing else is told then"`
}

// HookAnswer is what the session may be told.
type HookAnswer struct {
	Name     string   `json:"name" jsonschema:"what others call the session"`
	Meshes   []string `json:"meshes"`
	Surfaced int      `json:"surfaced" jsonschema:"messages of which it was not known before that they were shown"`
	Context  string   `json:"context,omitzero" jsonschema:"for the session: messages, or how many wait; written for the host as it stands"`
	Attempts []string `json:"attempts,omitzero" jsonschema:"attempt tokens of the messages in it, to be given back as offered"`
}

// EventWake is the kind of the one event of HookWake.
const EventWake = "wake"

// Wake says why a session that rests is to be woken.
type Wake struct {
	Text string `json:"text" jsonschema:"for the session; the messages themselves come with its next prompt"`
}

// For the hooks of a host.
var (
	Hook = Define[HookRequest, HookAnswer](Spec{
		Route: "POST /v1/hooks", Feature: "hooks", Scope: Anyone, BodyLimit: 256 << 10,
		Summary: "Tell what a hook of a host knows of its session: state, permission mode, messages that were shown.",
	})
	HookWake = Define[None, None](Spec{
		Route: "GET /v1/hooks/wake", Feature: "hooks", Scope: User, Stream: true,
		Summary: "Wait until a session that rests, and that only a hook can wake, has a message; ends where another path does that.",
	})
)
