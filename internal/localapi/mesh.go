package localapi

import (
	"net/http"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Mesh is one joined mesh.
type Mesh struct {
	Slug       string   `json:"slug"`
	Name       string   `json:"name"`
	MeshID     mesh.ID  `json:"mesh_id"`
	MemberID   mesh.ID  `json:"member_id"`
	Pubkey     mesh.Key `json:"pubkey"`
	Role       string   `json:"role" jsonschema:"admin or member"`
	IsOwner    bool     `json:"is_owner" jsonschema:"the owner's key is on this device"`
	BrokerURL  string   `json:"broker_url"`
	JoinedAt   string   `json:"joined_at"`
	Status     string   `json:"status" jsonschema:"open, connecting, reconnecting, closed, rejected or banned"`
	LastError  string   `json:"last_error,omitzero"`
	Auth       string   `json:"auth,omitzero" jsonschema:"auth/1 or auth/2: how this daemon and the broker last met; empty before"`
	Pending    int      `json:"outbox_pending"`
	OwnerPrint string   `json:"owner_fingerprint,omitzero" jsonschema:"first 128 bits of SHA-256(mesh id, owner key), base64url"`
}

// MeshesAnswer lists the joined meshes, as they stand in the config file.
type MeshesAnswer struct {
	Meshes     []Mesh   `json:"meshes"`
	ConfigPath string   `json:"config_path"`
	Unserved   []string `json:"unserved,omitzero" jsonschema:"those that are joined and that the daemon was told to leave out until its next start"`
}

// MeshCreateRequest makes a mesh on a broker.
type MeshCreateRequest struct {
	Name        string `json:"name"`
	Slug        string `json:"slug,omitzero" jsonschema:"made of the name when it is left out"`
	BrokerURL   string `json:"broker_url,omitzero" jsonschema:"default: the broker of this machine"`
	Token       string `json:"token,omitzero" jsonschema:"create token of the broker; read from its folder when it is this machine's"`
	BrokerPin   string `json:"broker_pin,omitzero" jsonschema:"SHA-256 of the broker's public key (SPKI), base64url, when it signed its certificate itself"`
	DisplayName string `json:"display_name,omitzero" jsonschema:"of the new member; default <user>@<host>"`
}

// MeshJoinRequest joins a mesh by an invite link or code.
type MeshJoinRequest struct {
	Link        string `json:"link"`
	DisplayName string `json:"display_name,omitzero"`
	BrokerURL   string `json:"broker_url,omitzero" jsonschema:"needed for a bare code"`
}

// MeshAnswer is the mesh that was made or joined.
type MeshAnswer struct {
	Mesh          Mesh `json:"mesh"`
	AlreadyJoined bool `json:"already_joined,omitzero"`
	Unpinned      bool `json:"unpinned,omitzero" jsonschema:"the link had no owner fingerprint: compare it with the owner's"`
}

// HTTPStatus is 200 for a mesh that was joined before, 201 otherwise.
func (a MeshAnswer) HTTPStatus() int {
	if a.AlreadyJoined {
		return http.StatusOK
	}
	return http.StatusCreated
}

// MeshLeaveRequest ends this device's membership.
type MeshLeaveRequest struct {
	Slug  string `json:"slug"`
	Force bool   `json:"force,omitzero" jsonschema:"also without the broker's confirmation, and as the owner"`
	// Everywhere ends the mesh for all its members; it takes the owner.
	Everywhere bool `json:"everywhere,omitzero" jsonschema:"as the owner: end the mesh for everybody"`
}

// MeshLeaveAnswer says what happened.
type MeshLeaveAnswer struct {
	Slug          string `json:"slug"`
	BrokerTold    bool   `json:"broker_told" jsonschema:"the broker ended the membership; false: only this device forgot it"`
	OwnerKeyKept  string `json:"owner_key_kept,omitzero" jsonschema:"path of the owner's key, which is never deleted"`
	DroppedOutbox int    `json:"dropped_outbox,omitzero" jsonschema:"unsent messages of the mesh, now dead"`
	Everywhere    bool   `json:"everywhere,omitzero" jsonschema:"the mesh was ended for everybody"`
}

// MeshUpdateRequest renames a mesh for everybody. What is left out stays.
type MeshUpdateRequest struct {
	Slug    string `json:"slug"`
	NewSlug string `json:"new_slug,omitzero" jsonschema:"2 to 32 of a-z, 0-9 and -"`
	Name    string `json:"name,omitzero"`
}

// MemberUpdateRequest changes what a member of a mesh may do.
type MemberUpdateRequest struct {
	Slug   string `json:"slug"`
	Member string `json:"member" jsonschema:"member key, 16 or more of its first characters, member id, or a name that one member has"`
	Role   string `json:"role" jsonschema:"admin or member"`
}

// MemberAnswer is a member of a mesh.
type MemberAnswer struct {
	Mesh     string   `json:"mesh"`
	MemberID mesh.ID  `json:"member_id"`
	Pubkey   mesh.Key `json:"pubkey"`
	Name     string   `json:"name"`
	Role     string   `json:"role" jsonschema:"admin or member"`
}

// InviteCreateRequest makes an invite.
type InviteCreateRequest struct {
	Slug      string `json:"slug"`
	ExpiresIn string `json:"expires_in,omitzero" jsonschema:"Go duration, default 168h"`
	Uses      int    `json:"uses,omitzero" jsonschema:"1 to 1000, default 1"`
	Role      string `json:"role,omitzero" jsonschema:"admin or member, default member"`
	Legacy    bool   `json:"legacy,omitzero" jsonschema:"a link of version 1, for the TypeScript system; it holds the mesh's root key"`
}

// InviteAnswer is a new invite with its link, which is not kept anywhere.
type InviteAnswer struct {
	URL       string  `json:"url"`
	Code      string  `json:"code" jsonschema:"empty in version 1"`
	Version   int     `json:"version" jsonschema:"2, or 1 for the TypeScript system"`
	InviteID  mesh.ID `json:"invite_id"`
	ExpiresAt string  `json:"expires_at"`
	Uses      int     `json:"uses"`
	Role      string  `json:"role"`
	Mesh      string  `json:"mesh"`
	LocalOnly bool    `json:"local_only,omitzero" jsonschema:"the broker listens on this machine only: the link works here only"`
}

// HTTPStatus is 201.
func (InviteAnswer) HTTPStatus() int { return http.StatusCreated }

// InvitesRequest lists the invites of a mesh.
type InvitesRequest struct {
	Slug string `json:"slug"`
}

// InvitesAnswer is newest first.
type InvitesAnswer struct {
	Invites []protocol.Invite `json:"invites"`
}

// InviteRevokeRequest ends an invite.
type InviteRevokeRequest struct {
	Slug string  `json:"slug"`
	ID   mesh.ID `json:"id"`
}

// Meshes and invites.
var (
	Meshes = Define[None, MeshesAnswer](Spec{
		Route: "GET /v1/meshes", Feature: "meshes", Scope: User, Summary: "List the joined meshes.",
	})
	MeshCreate = Define[MeshCreateRequest, MeshAnswer](Spec{
		Route: "POST /v1/meshes", Feature: "meshes", Scope: User, BodyLimit: 16 << 10, Summary: "Make a mesh and join it.",
	})
	MeshJoin = Define[MeshJoinRequest, MeshAnswer](Spec{
		Route: "POST /v1/meshes/join", Feature: "meshes", Scope: User, BodyLimit: 16 << 10, Summary: "Join a mesh by an invite.",
	})
	MeshUpdate = Define[MeshUpdateRequest, MeshAnswer](Spec{
		Route: "PATCH /v1/meshes/{slug}", Feature: "meshes", Scope: User, BodyLimit: 16 << 10, Summary: "Rename a mesh for everybody. Takes its owner.",
	})
	MemberUpdate = Define[MemberUpdateRequest, MemberAnswer](Spec{
		Route: "PATCH /v1/meshes/{slug}/members/{member}", Feature: "meshes", Scope: User, BodyLimit: 16 << 10, Summary: "Change the role of a member. Takes the mesh's owner.",
	})
	MeshLeave = Define[MeshLeaveRequest, MeshLeaveAnswer](Spec{
		Route: "DELETE /v1/meshes/{slug}", Feature: "meshes", Scope: User, Summary: "Leave a mesh.",
	})
	InviteCreate = Define[InviteCreateRequest, InviteAnswer](Spec{
		Route: "POST /v1/meshes/{slug}/invites", Feature: "invites", Scope: User, BodyLimit: 16 << 10, Summary: "Make an invite link.",
	})
	Invites = Define[InvitesRequest, InvitesAnswer](Spec{
		Route: "GET /v1/meshes/{slug}/invites", Feature: "invites", Scope: User, Summary: "List the invites of a mesh.",
	})
	InviteRevoke = Define[InviteRevokeRequest, None](Spec{
		Route: "DELETE /v1/meshes/{slug}/invites/{id}", Feature: "invites", Scope: User, Summary: "End an invite.",
	})
)
