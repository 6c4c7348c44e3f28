package localapi

import "github.com/claudemesh/claudemesh/internal/mesh"

// The states of a skill.
const (
	SkillNew      = "new"      // no human has accepted it
	SkillAccepted = "accepted" // sessions are offered it
	SkillChanged  = "changed"  // sessions are offered what was accepted; what is published now is not that
	SkillOwn      = "own"      // published by this user; sessions here are offered it when it is accepted, too
)

// SkillsRequest lists skills.
type SkillsRequest struct {
	Query    string `json:"query,omitzero" jsonschema:"part of name, description or a tag, whatever its case"`
	Mesh     string `json:"mesh,omitzero" jsonschema:"slug; empty means every mesh that the caller is in"`
	Accepted bool   `json:"accepted,omitzero" jsonschema:"those that sessions are offered, as they were accepted: no broker is asked"`
}

// Skill is a skill of a mesh. What others wrote is information: a session gets the texts of accepted ones only.
type Skill struct {
	Name         string   `json:"name"`
	Description  string   `json:"description"`
	Tags         []string `json:"tags"`
	Author       string   `json:"author" jsonschema:"as its key is pinned here, else the broker's word"`
	CreatedAt    string   `json:"createdAt"`
	UpdatedAt    string   `json:"updatedAt,omitzero"`
	Mesh         string   `json:"mesh"`
	AuthorPubkey mesh.Key `json:"author_pubkey,omitzero" jsonschema:"member key"`
	State        string   `json:"state" jsonschema:"new, accepted, changed or own"`
	Encrypted    bool     `json:"encrypted" jsonschema:"false: the broker's operator can read it"`

	Instructions *string  `json:"instructions,omitzero" jsonschema:"of one skill; left out for a session unless it is accepted"`
	WhenToUse    string   `json:"when_to_use,omitzero"`
	ArgumentHint string   `json:"argument_hint,omitzero"`
	Digest       string   `json:"digest,omitzero" jsonschema:"of its whole text; of one skill"`
	Verified     bool     `json:"verified" jsonschema:"of one skill: its publisher signed this text with a key that this user has met; false: the broker alone says who wrote it"`
	AuthorBefore mesh.Key `json:"author_before,omitzero" jsonschema:"who had published what was accepted under this name, where that is another one"`
	Problem      string   `json:"problem,omitzero" jsonschema:"why it cannot be accepted"`
}

// SkillsAnswer lists the skills of the meshes that answered.
type SkillsAnswer struct {
	Skills []Skill     `json:"skills"`
	Meshes []MeshState `json:"meshes"`
}

// OfferedAs is what hosts call a skill among all that they are offered: its name, behind that of its mesh where skills of several
// meshes have it. No skill is hidden by another one.
func OfferedAs(s Skill, all []Skill) string {
	for _, other := range all {
		if other.Name == s.Name && other.Mesh != s.Mesh {
			return s.Mesh + "__" + s.Name // which no name of a skill has in it
		}
	}
	return s.Name
}

// SkillRequest asks for one skill.
type SkillRequest struct {
	Name     string `json:"name"`
	Mesh     string `json:"mesh,omitzero" jsonschema:"slug; needed where several meshes have one of this name"`
	Accepted bool   `json:"accepted,omitzero" jsonschema:"as it was accepted: no broker is asked"`
}

// SkillAnswer is one skill.
type SkillAnswer struct {
	Skill Skill `json:"skill"`
}

// SkillPublishRequest publishes a skill, or a change of one.
type SkillPublishRequest struct {
	Name         string   `json:"name" jsonschema:"1 to 64 of a-z, 0-9 and -"`
	Description  string   `json:"description"`
	Instructions string   `json:"instructions" jsonschema:"Markdown, at most 32 KiB"`
	WhenToUse    string   `json:"when_to_use,omitzero"`
	ArgumentHint string   `json:"argument_hint,omitzero"`
	Tags         []string `json:"tags,omitzero"`
	Mesh         string   `json:"mesh,omitzero" jsonschema:"slug; needed where several are joined"`
}

// SkillAcceptRequest is a human's yes to a skill as it was shown.
type SkillAcceptRequest struct {
	Name   string `json:"name"`
	Mesh   string `json:"mesh,omitzero"`
	Digest string `json:"digest" jsonschema:"of what the human has seen; another text is refused"`
}

// SkillDropRequest names a skill that is to go.
type SkillDropRequest struct {
	Name string `json:"name"`
	Mesh string `json:"mesh,omitzero"`
}

// SkillDropAnswer says what is gone, and from where.
type SkillDropAnswer struct {
	Name    string `json:"name"`
	Mesh    string `json:"mesh"`
	Removed bool   `json:"removed"`
}

// EventSkills is the kind of the event that sessions are offered other skills from now on. It has a SystemEvent.
const EventSkills = "skills_changed"

// Skills that members publish for the sessions of the others.
var (
	Skills = Define[SkillsRequest, SkillsAnswer](Spec{
		Route: "GET /v1/skills", Feature: "skills", Scope: User, Summary: "List the skills that members published.",
	})
	SkillGet = Define[SkillRequest, SkillAnswer](Spec{
		Route: "GET /v1/skills/{name}", Feature: "skills", Scope: User, Summary: "Read one skill.",
	})
	SkillPublish = Define[SkillPublishRequest, SkillAnswer](Spec{
		Route: "POST /v1/skills", Feature: "skills", Scope: HumanOnly,
		Summary: "Publish a skill, signed by the user's key, or a change of one of the user's own.",
	})
	SkillRemove = Define[SkillDropRequest, SkillDropAnswer](Spec{
		Route: "DELETE /v1/skills/{name}", Feature: "skills", Scope: HumanOnly,
		Summary: "Remove a skill of the user's own from its mesh; its name stays the user's.",
	})
	SkillAccept = Define[SkillAcceptRequest, SkillAnswer](Spec{
		Route: "POST /v1/skills/{name}/accept", Feature: "skills", Scope: HumanOnly, BodyLimit: 16 << 10,
		Summary: "Accept a skill as it was shown: the user's sessions are offered it.",
	})
	SkillReject = Define[SkillDropRequest, SkillDropAnswer](Spec{
		Route: "POST /v1/skills/{name}/reject", Feature: "skills", Scope: HumanOnly, BodyLimit: 16 << 10,
		Summary: "Take a yes to a skill back.",
	})
)
