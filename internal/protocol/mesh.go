package protocol

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// The events of the mesh that tell members of ours what its owner changed. They travel as a push of subtype system, to
// connections that announced claudemesh.go/1; who was away reads the same in its welcome.
const (
	MeshRenamed   = "mesh_renamed"
	MeshArchived  = "mesh_archived"
	MemberUpdated = "member_updated"
)

// ProfileUpdated is the event that tells the connections of a member, those that did not announce claudemesh.go/1, what
// was changed of it (wire 6).
const ProfileUpdated = "profile_updated"

// MeshFacts is what a broker says of a mesh and of the member who asks.
type MeshFacts struct {
	Slug string `json:"slug"`
	Name string `json:"name"`
	Role string `json:"role" jsonschema:"of the member: admin or member"`
}

// RenamedEvent is the eventData of mesh_renamed.
type RenamedEvent struct {
	Slug string `json:"slug"`
	Name string `json:"name"`
}

// ArchivedEvent is the eventData of mesh_archived. It repeats what the owner signed, so that no broker can talk a member
// out of a mesh.
type ArchivedEvent struct {
	Slug      string          `json:"slug" jsonschema:"the argument of the operation"`
	Host      string          `json:"host" jsonschema:"host:port of the broker, as the owner dialled it"`
	Operation SignedOperation `json:"operation"`
}

// UpdatedEvent is the eventData of member_updated.
type UpdatedEvent struct {
	MemberID     mesh.ID  `json:"memberId"`
	MemberPubkey mesh.Key `json:"memberPubkey"`
	Name         string   `json:"name"`
	Role         string   `json:"role" jsonschema:"admin or member"`
}

// ProfileEvent is the eventData of profile_updated. Clients read there what they know of and changed; what a mesh of ours
// keeps of a member is its permission.
type ProfileEvent struct {
	Permission string `json:"permission" jsonschema:"admin or member"`
}

// MeshRenameRequest gives the mesh another name. What is left out stays.
type MeshRenameRequest struct {
	Slug      string          `json:"slug,omitzero" jsonschema:"2 to 32 of a-z, 0-9 and -"`
	Name      string          `json:"name,omitzero"`
	Operation SignedOperation `json:"operation,omitzero"`
}

// Signed is what the operation's signature covers, as for InviteCreateRequest.
func (r MeshRenameRequest) Signed() MeshRenameRequest {
	r.Operation = SignedOperation{}
	return r
}

// MeshRenameAnswer is how it is called now.
type MeshRenameAnswer struct {
	Slug string `json:"slug"`
	Name string `json:"name"`
}

// MeshArchiveRequest ends the mesh for everybody.
type MeshArchiveRequest struct {
	Slug      string          `json:"slug" jsonschema:"as it is called now: the owner has to mean this one"`
	Operation SignedOperation `json:"operation,omitzero"`
}

// Signed is what the operation's signature covers, as for InviteCreateRequest.
func (r MeshArchiveRequest) Signed() MeshArchiveRequest {
	r.Operation = SignedOperation{}
	return r
}

// MeshArchiveAnswer confirms it.
type MeshArchiveAnswer struct {
	Archived bool `json:"archived"`
}

// MemberUpdateRequest changes what a member may do.
type MemberUpdateRequest struct {
	Target    string          `json:"target" jsonschema:"member key, 16 or more of its first characters, member id, or a name that one member has"`
	Role      string          `json:"role" jsonschema:"admin or member"`
	Operation SignedOperation `json:"operation,omitzero"`
}

// Signed is what the operation's signature covers, as for InviteCreateRequest.
func (r MemberUpdateRequest) Signed() MemberUpdateRequest {
	r.Operation = SignedOperation{}
	return r
}

// MemberUpdateAnswer is the member as it is now.
type MemberUpdateAnswer struct {
	MemberID     mesh.ID  `json:"memberId"`
	MemberPubkey mesh.Key `json:"memberPubkey"`
	Name         string   `json:"name"`
	Role         string   `json:"role" jsonschema:"admin or member"`
}

// What the owner changes.
var (
	MeshRename = wire.Define[MeshRenameRequest, MeshRenameAnswer](wire.Spec{
		Type: "mesh_rename", Reply: "mesh_rename_ack", Ours: true, Summary: "Rename the mesh. Signed by the owner.",
	})
	MeshArchive = wire.Define[MeshArchiveRequest, MeshArchiveAnswer](wire.Spec{
		Type: "mesh_archive", Reply: "mesh_archive_ack", Ours: true, Summary: "End the mesh for everybody. Signed by the owner.",
	})
	MemberUpdate = wire.Define[MemberUpdateRequest, MemberUpdateAnswer](wire.Spec{
		Type: "member_update", Reply: "member_update_ack", Ours: true, Summary: "Change the role of a member. Signed by the owner.",
	})
)
