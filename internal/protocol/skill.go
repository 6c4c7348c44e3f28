package protocol

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Bounds of a skill, in bytes but for the tags.
const (
	MaxSkillName         = 64
	MaxSkillDescription  = 1 << 10
	MaxSkillInstructions = 32 << 10
	MaxSkillManifest     = 4 << 10
	MaxSkillTags         = 16
	MaxSkillTag          = 48
)

// SkillsChanged is the event that tells those who announced claudemesh.go/1 that a skill was published or removed. It
// travels as a push of subtype system; its eventData is a SkillAck.
const SkillsChanged = "skills_changed"

// What became of a skill.
const (
	SkillShared  = "shared"
	SkillRemoved = "removed"
	SkillUnknown = "not_found"
)

// SkillShareRequest publishes a skill, or a change of the caller's own (wire 11.18).
type SkillShareRequest struct {
	Name         string          `json:"name" jsonschema:"belongs to the member that has published it first, also when it is removed"`
	Description  string          `json:"description"`
	Instructions string          `json:"instructions"`
	Tags         []string        `json:"tags,omitzero"`
	Manifest     wire.RawMessage `json:"manifest,omitzero" jsonschema:"object; ours is a SkillManifest. The broker keeps it unread"`
}

// SkillManifest is what ours read and write of a manifest. What else clients put there, such as tools that are allowed,
// counts for nothing.
type SkillManifest struct {
	WhenToUse    string      `json:"when_to_use,omitzero"`
	ArgumentHint string      `json:"argument_hint,omitzero"`
	Proof        *SkillProof `json:"claudemesh,omitzero"`
}

// SkillProof is the publisher's signature over the skill (package seal).
type SkillProof struct {
	Author    mesh.Key `json:"author" jsonschema:"member key"`
	At        int64    `json:"at" jsonschema:"milliseconds"`
	Signature string   `json:"signature"`
}

// SkillAck says what was done.
type SkillAck struct {
	Name   string `json:"name"`
	Action string `json:"action" jsonschema:"shared, removed or not_found"`
}

// SkillNameRequest names one skill.
type SkillNameRequest struct {
	Name string `json:"name"`
}

// Skill is a skill as the broker keeps it. Who wrote it is the broker's word; the manifest may prove it.
type Skill struct {
	Name         string          `json:"name"`
	Description  string          `json:"description"`
	Instructions string          `json:"instructions"`
	Tags         []string        `json:"tags"`
	Author       string          `json:"author" jsonschema:"name of the member"`
	AuthorPubkey mesh.Key        `json:"authorPubkey,omitzero"`
	Manifest     wire.RawMessage `json:"manifest" jsonschema:"object or null"`
	CreatedAt    string          `json:"createdAt"`
	UpdatedAt    string          `json:"updatedAt,omitzero"`
}

// SkillData is one skill, or null.
type SkillData struct {
	Skill *Skill `json:"skill"`
}

// SkillListRequest asks for skills.
type SkillListRequest struct {
	Query string `json:"query,omitzero" jsonschema:"part of name, description or a tag, whatever its case"`
}

// SkillRow is a skill without its text.
type SkillRow struct {
	Name         string   `json:"name"`
	Description  string   `json:"description"`
	Tags         []string `json:"tags"`
	Author       string   `json:"author"`
	AuthorPubkey mesh.Key `json:"authorPubkey,omitzero"`
	CreatedAt    string   `json:"createdAt"`
	UpdatedAt    string   `json:"updatedAt,omitzero"`
}

// SkillList lists skills by name.
type SkillList struct {
	Skills []SkillRow `json:"skills"`
}

// Skills of the mesh. They are not encrypted.
var (
	ShareSkill = wire.Define[SkillShareRequest, SkillAck](wire.Spec{
		Type: "share_skill", Reply: "skill_ack", Summary: "Publish a skill, or a change of the caller's own.",
	})
	GetSkill = wire.Define[SkillNameRequest, SkillData](wire.Spec{
		Type: "get_skill", Reply: "skill_data", Summary: "Read one skill.",
	})
	ListSkills = wire.Define[SkillListRequest, SkillList](wire.Spec{
		Type: "list_skills", Reply: "skill_list", Summary: "List the skills of the mesh, by name.",
	})
	RemoveSkill = wire.Define[SkillNameRequest, SkillAck](wire.Spec{
		Type: "remove_skill", Reply: "skill_ack", Summary: "Remove a skill of the caller's own.",
	})
)
