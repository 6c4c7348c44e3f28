package protocol

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// The events of the mesh that tell of a peer's coming and going (wire 6). They travel as a push of subtype system.
const (
	PeerJoined   = "peer_joined"
	PeerReturned = "peer_returned"
	PeerLeft     = "peer_left"
	PeerVisible  = "peer_visible"
	PeerHidden   = "peer_hidden"
)

// SubtypeSystem marks a push that is an event of the mesh and no message. Its sender is SystemSender.
const (
	SubtypeSystem = "system"
	SystemSender  = "system"
)

// PeerEvent is the eventData of those events. Old clients read the name from either of two fields (wire TRAP L).
type PeerEvent struct {
	Name         string        `json:"name"`
	DisplayName  string        `json:"displayName"`
	Pubkey       mesh.Key      `json:"pubkey"`
	MemberPubkey mesh.Key      `json:"memberPubkey,omitzero"`
	PeerRole     mesh.PeerRole `json:"peerRole,omitzero"`
	Groups       []Group       `json:"groups,omitzero"`
	LastSeenAt   string        `json:"lastSeenAt,omitzero"`
	Summary      string        `json:"summary,omitzero"`
}

// Stats are the counts of one session, as it reports them.
type Stats struct {
	MessagesIn  int64   `json:"messagesIn,omitzero"`
	MessagesOut int64   `json:"messagesOut,omitzero"`
	ToolCalls   int64   `json:"toolCalls,omitzero"`
	Uptime      float64 `json:"uptime,omitzero" jsonschema:"seconds"`
	Errors      int64   `json:"errors,omitzero"`
}

// SetStatusRequest says what the caller is doing (wire 7). Only ours name a source; others are manual.
type SetStatusRequest struct {
	Status mesh.Status `json:"status" jsonschema:"idle, working or dnd"`
	Source string      `json:"source,omitzero" jsonschema:"hook, manual or jsonl; empty means manual"`
}

// SetSummaryRequest says in a sentence what the caller is at.
type SetSummaryRequest struct {
	Summary string `json:"summary" jsonschema:"at most 500 characters; empty takes it away"`
}

// SetVisibleRequest hides the caller from the lists of others, or shows it again. A hidden peer still gets direct
// messages.
type SetVisibleRequest struct {
	Visible bool `json:"visible"`
}

// SetProfileRequest changes what is given of the caller's profile.
type SetProfileRequest struct {
	Avatar       *string  `json:"avatar,omitzero"`
	Title        *string  `json:"title,omitzero"`
	Bio          *string  `json:"bio,omitzero"`
	Capabilities []string `json:"capabilities,omitzero"`
}

// SetStatsRequest replaces the caller's counts.
type SetStatsRequest struct {
	Stats Stats `json:"stats"`
}

// Done is the ack of a request that has no other answer (wire 3.2).
type Done struct {
	ID        string `json:"id" jsonschema:"repeats _reqId"`
	MessageID string `json:"messageId" jsonschema:"empty"`
	Queued    bool   `json:"queued" jsonschema:"false, without an error"`
}

// Echo repeats the request's id where old clients look for it (wire.Echoer).
func (d *Done) Echo(reqID string) { d.ID = reqID }

// KeepSessionsRequest lists the sessions that the caller's daemon serves. A session of the member that is not among
// them and has no connection is over, and waits for the end of its lease no longer.
type KeepSessionsRequest struct {
	Keys []mesh.Key `json:"keys" jsonschema:"session keys, at most 512"`
}

// KeepSessionsAnswer counts the sessions that were ended.
type KeepSessionsAnswer struct {
	Ended int `json:"ended"`
}

// Presence: what a connection tells others of itself. Old clients wait for no answer (wire TRAP D).
var (
	SetStatus = wire.Define[SetStatusRequest, Done](wire.Spec{
		Type: "set_status", Reply: "ack", Quiet: true, Summary: "Say what the caller is doing; idle lets held messages through.",
	})
	SetSummary = wire.Define[SetSummaryRequest, Done](wire.Spec{
		Type: "set_summary", Reply: "ack", Quiet: true, Summary: "Say in a sentence what the caller is at.",
	})
	SetVisible = wire.Define[SetVisibleRequest, Done](wire.Spec{
		Type: "set_visible", Reply: "ack", Quiet: true, Summary: "Hide the caller from the lists of other members, or show it again.",
	})
	SetProfile = wire.Define[SetProfileRequest, Done](wire.Spec{
		Type: "set_profile", Reply: "ack", Quiet: true, Summary: "Change the caller's profile; what is not given stays.",
	})
	SetStats = wire.Define[SetStatsRequest, Done](wire.Spec{
		Type: "set_stats", Reply: "ack", Quiet: true, Summary: "Replace the counts that the caller reports of itself.",
	})
	KeepSessions = wire.Define[KeepSessionsRequest, KeepSessionsAnswer](wire.Spec{
		Type: "keep_sessions", Reply: "sessions_kept", Ours: true,
		Summary: "End the leases of the caller's sessions that its daemon does not serve any more.",
	})
)

// TaskCounts are the tasks of a mesh by state.
type TaskCounts struct {
	Open    int `json:"open"`
	Claimed int `json:"claimed"`
	Done    int `json:"done"`
}

// MeshInfoRequest asks what there is in the caller's mesh.
type MeshInfoRequest struct{}

// MeshInfo is an overview of a mesh, as the caller may see it (wire 11.12).
type MeshInfo struct {
	Mesh        mesh.ID    `json:"mesh"`
	Peers       int        `json:"peers" jsonschema:"peers that the caller can see, daemons not counted"`
	Groups      []string   `json:"groups" jsonschema:"with @"`
	StateKeys   []string   `json:"stateKeys"`
	MemoryCount int        `json:"memoryCount"`
	FileCount   int        `json:"fileCount"`
	Tasks       TaskCounts `json:"tasks"`
	Streams     []string   `json:"streams"`
	Tables      []string   `json:"tables"`
	Collections []string   `json:"collections"`
	YourName    string     `json:"yourName"`
	YourGroups  []string   `json:"yourGroups"`
	Members     int        `json:"members,omitzero"`
	Name        string     `json:"name,omitzero"`
	CreatedAt   string     `json:"createdAt,omitzero"`
}

// ReadMeshInfo reads the overview.
var ReadMeshInfo = wire.Define[MeshInfoRequest, MeshInfo](wire.Spec{
	Type: "mesh_info", Reply: "mesh_info_result", Summary: "Read an overview of the mesh.",
})
