package localapi

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// The verbs of moderation.
const (
	VerbDisconnect = "disconnect"
	VerbKick       = "kick"
	VerbBan        = "ban"
	VerbUnban      = "unban"
)

// ModerateRequest closes connections, or ends or restores a membership.
type ModerateRequest struct {
	Verb    string `json:"verb" jsonschema:"disconnect, kick, ban or unban"`
	Mesh    string `json:"mesh,omitzero" jsonschema:"may be left out where one is joined"`
	Target  string `json:"target,omitzero" jsonschema:"key, a prefix of at least 16 characters, or a name that only one has"`
	StaleMs int64  `json:"stale_ms,omitzero" jsonschema:"disconnect and kick: those of whom nothing was heard for so long"`
	All     bool   `json:"all,omitzero" jsonschema:"disconnect and kick: everybody else"`
	Reason  string `json:"reason,omitzero" jsonschema:"ban: shown to the admins and to the member"`
}

// ModerateAnswer says who was meant.
type ModerateAnswer struct {
	Mesh                string   `json:"mesh"`
	Verb                string   `json:"verb"`
	Affected            []string `json:"affected" jsonschema:"names; of disconnect and kick one for each connection"`
	Pubkey              mesh.Key `json:"pubkey,omitzero" jsonschema:"of the member, for ban and unban"`
	SkippedControlPlane []string `json:"skipped_control_plane,omitzero" jsonschema:"daemons, which are not kicked"`
	OpenInvites         int      `json:"open_invites,omitzero" jsonschema:"ban: invites that still work, also for another key of the same person"`
}

// BansRequest asks who is banned.
type BansRequest struct {
	Mesh string `json:"mesh,omitzero" jsonschema:"may be left out where one is joined"`
}

// BansAnswer is newest first.
type BansAnswer struct {
	Mesh string         `json:"mesh"`
	Bans []protocol.Ban `json:"bans"`
}

// Moderation, for the owner of a mesh and its admins.
var (
	Moderate = Define[ModerateRequest, ModerateAnswer](Spec{
		Route: "POST /v1/moderation/{verb}", Feature: "moderation", Scope: HumanOnly, BodyLimit: 16 << 10,
		Summary: "Close connections of a mesh, ban or unban a member. Signed by the owner's key, else by the own member key.",
	})
	Bans = Define[BansRequest, BansAnswer](Spec{
		Route: "GET /v1/bans", Feature: "moderation", Scope: User, Summary: "List who is banned.",
	})
)
