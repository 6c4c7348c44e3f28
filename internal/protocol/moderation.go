package protocol

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// KickRequest says whose connections are closed, in one of three ways (wire 8.2). All goes before stale, stale before
// target. All and stale leave out the caller's member and the owner.
type KickRequest struct {
	Target    string          `json:"target,omitzero" jsonschema:"member or session key, a prefix of at least 16 characters, or a name that only one has"`
	Stale     int64           `json:"stale,omitzero" jsonschema:"those of whom nothing was heard for so many milliseconds"`
	All       bool            `json:"all,omitzero"`
	Operation SignedOperation `json:"operation,omitzero"`
}

// Signed is what the operation's signature covers, as for InviteCreateRequest.
func (r KickRequest) Signed() KickRequest {
	r.Operation = SignedOperation{}
	return r
}

// KickAnswer names the connections that were closed, twice as old clients read it.
type KickAnswer struct {
	Kicked              []string `json:"kicked"`
	Affected            []string `json:"affected"`
	SkippedControlPlane []string `json:"skipped_control_plane,omitzero" jsonschema:"daemons, which come back by themselves and are not kicked"`
}

// BanRequest ends a membership until it is unbanned.
type BanRequest struct {
	Target    string          `json:"target" jsonschema:"as for kick; a session means its member"`
	Reason    string          `json:"reason,omitzero" jsonschema:"at most 200 characters, shown to the admins and to the member"`
	Operation SignedOperation `json:"operation,omitzero"`
}

// Signed is what the operation's signature covers, as for InviteCreateRequest.
func (r BanRequest) Signed() BanRequest {
	r.Operation = SignedOperation{}
	return r
}

// BanAnswer names who was banned.
type BanAnswer struct {
	Banned string   `json:"banned"`
	Pubkey mesh.Key `json:"pubkey"`
}

// UnbanRequest makes a banned member a member again.
type UnbanRequest struct {
	Target    string          `json:"target" jsonschema:"exact name or member key of somebody who is banned, or a prefix of at least 16 characters"`
	Operation SignedOperation `json:"operation,omitzero"`
}

// Signed is what the operation's signature covers, as for InviteCreateRequest.
func (r UnbanRequest) Signed() UnbanRequest {
	r.Operation = SignedOperation{}
	return r
}

// UnbanAnswer names who is back.
type UnbanAnswer struct {
	Unbanned string   `json:"unbanned"`
	Pubkey   mesh.Key `json:"pubkey"`
}

// BansRequest asks who is banned.
type BansRequest struct{}

// Ban is one banned member.
type Ban struct {
	Name      string   `json:"name"`
	Pubkey    mesh.Key `json:"pubkey"`
	RevokedAt string   `json:"revokedAt"`
	Reason    string   `json:"reason,omitzero"`
	By        mesh.Key `json:"by,omitzero" jsonschema:"the key that signed: the owner's, or an admin's member key"`
}

// BansAnswer is newest first.
type BansAnswer struct {
	Bans []Ban `json:"bans"`
}

// Moderation. Without the signature of the owner, or of an admin's own member key, it is forbidden; reading the bans is not.
var (
	Disconnect = wire.Define[KickRequest, KickAnswer](wire.Spec{
		Type: "disconnect", Reply: "disconnect_ack", Summary: "Close connections; their clients come back by themselves. Signed by the owner or an admin.",
	})
	Kick = wire.Define[KickRequest, KickAnswer](wire.Spec{
		Type: "kick", Reply: "kick_ack", Summary: "Close sessions until somebody starts them again. Signed by the owner or an admin.",
	})
	BanMember = wire.Define[BanRequest, BanAnswer](wire.Spec{
		Type: "ban", Reply: "ban_ack", Summary: "End a membership at once. Signed by the owner or an admin.",
	})
	Unban = wire.Define[UnbanRequest, UnbanAnswer](wire.Spec{
		Type: "unban", Reply: "unban_ack", Summary: "Make a banned member a member again. Signed by the owner or an admin.",
	})
	ListBans = wire.Define[BansRequest, BansAnswer](wire.Spec{
		Type: "list_bans", Reply: "list_bans_result", Summary: "Read who is banned.",
	})
)
