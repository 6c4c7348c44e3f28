package protocol

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// InviteCreateRequest stores an invite that the owner signed (design C3). The broker never sees the code, only its hash.
type InviteCreateRequest struct {
	InviteID  mesh.ID         `json:"inviteId"`
	Version   int             `json:"version,omitzero" jsonschema:"2 when left out; 1 for a link that the TypeScript system can use"`
	CodeHash  string          `json:"codeHash" jsonschema:"SHA-256 of the code, or of the token of version 1, 64 hex"`
	ExpiresAt int64           `json:"expiresAt" jsonschema:"seconds since the epoch"`
	MaxUses   int             `json:"maxUses" jsonschema:"1 to 1000"`
	Role      string          `json:"role" jsonschema:"admin or member"`
	Signature string          `json:"signature" jsonschema:"128 hex over the canonical invite text, by the owner's key"`
	BrokerURL string          `json:"brokerUrl,omitzero" jsonschema:"version 1: the address in the token, ws:// or wss://, ending in /ws"`
	Operation SignedOperation `json:"operation,omitzero"`
}

// Signed is what the operation's signature covers, by seal.ArgsHash of its encoding: every field but the operation.
func (r InviteCreateRequest) Signed() InviteCreateRequest {
	r.Operation = SignedOperation{}
	return r
}

// InviteAnswer names the invite.
type InviteAnswer struct {
	InviteID mesh.ID `json:"inviteId"`
}

// InviteListRequest asks for the invites of the mesh.
type InviteListRequest struct{}

// Invite is one invite without its code.
type Invite struct {
	InviteID  mesh.ID `json:"inviteId"`
	Version   int     `json:"version,omitzero" jsonschema:"1; left out for 2"`
	Role      string  `json:"role"`
	ExpiresAt int64   `json:"expiresAt"`
	MaxUses   int     `json:"maxUses"`
	Used      int     `json:"used"`
	CreatedAt string  `json:"createdAt"`
	Revoked   bool    `json:"revoked,omitzero"`
}

// InviteListAnswer is newest first.
type InviteListAnswer struct {
	Invites []Invite `json:"invites"`
}

// InviteRevokeRequest ends an invite.
type InviteRevokeRequest struct {
	InviteID  mesh.ID         `json:"inviteId"`
	Operation SignedOperation `json:"operation,omitzero"`
}

// Signed is what the operation's signature covers, as for InviteCreateRequest.
func (r InviteRevokeRequest) Signed() InviteRevokeRequest {
	r.Operation = SignedOperation{}
	return r
}

// PlaceRequest asks where others reach the broker.
type PlaceRequest struct{}

// Place is what links to the broker are made of, for members that reach it by an address of its own machine.
type Place struct {
	URL string `json:"url,omitzero" jsonschema:"http:// or https://, without a slash at the end; left out when it listens on its machine only"`
	Pin string `json:"pin,omitzero" jsonschema:"SHA-256 of its public key (SPKI), base64url, when it signed its certificate itself"`
}

// LeaveRequest ends the caller's own membership.
type LeaveRequest struct{}

// LeaveAnswer confirms it.
type LeaveAnswer struct {
	Left bool `json:"left"`
}

// Invites, and the way out.
var (
	InviteCreate = wire.Define[InviteCreateRequest, InviteAnswer](wire.Spec{
		Type: "invite_create", Reply: "invite_created", Ours: true, Summary: "Store an invite signed by the owner.",
	})
	InviteList = wire.Define[InviteListRequest, InviteListAnswer](wire.Spec{
		Type: "invite_list", Reply: "invite_list_result", Ours: true, Summary: "List the invites of the mesh. Admins only.",
	})
	InviteRevoke = wire.Define[InviteRevokeRequest, InviteAnswer](wire.Spec{
		Type: "invite_revoke", Reply: "invite_revoked", Ours: true, Summary: "End an invite. Signed by the owner.",
	})
	BrokerPlace = wire.Define[PlaceRequest, Place](wire.Spec{
		Type: "broker_place", Reply: "broker_place_result", Ours: true, Summary: "Tell where others reach the broker.",
	})
	MeshLeave = wire.Define[LeaveRequest, LeaveAnswer](wire.Spec{
		Type: "mesh_leave", Reply: "mesh_left", Ours: true, Summary: "End the caller's own membership. The owner cannot leave.",
	})
)
