package protocol

import "github.com/claudemesh/claudemesh/internal/mesh"

// Paths of the broker's HTTP side (design B6).
const (
	PathSocket     = "/ws"
	PathHealth     = "/health"
	PathMetrics    = "/metrics"
	PathMeshes     = "/v1/meshes"
	PathClaim      = "/invites/{code}/claim"
	PathInvitePage = "/i/{code}"
	PathJoin       = "/join"
)

// NewMember is a member's key with its name.
type NewMember struct {
	Pubkey      string `json:"pubkey" jsonschema:"64 lower-case hex"`
	DisplayName string `json:"display_name"`
}

// MeshCreateRequest is the body of POST /v1/meshes (design C1).
type MeshCreateRequest struct {
	Name            string    `json:"name"`
	Slug            string    `json:"slug,omitzero" jsonschema:"made of the name when it is left out"`
	OwnerPubkey     string    `json:"owner_pubkey"`
	Member          NewMember `json:"member"`
	RootKey         string    `json:"root_key" jsonschema:"32 bytes, base64url without padding; a compatibility value"`
	CreatedAtMs     int64     `json:"created_at_ms"`
	OwnerSignature  string    `json:"owner_signature"`
	MemberSignature string    `json:"member_signature"`
}

// MeshCreateAnswer is its answer, 201.
type MeshCreateAnswer struct {
	MeshID   mesh.ID `json:"mesh_id"`
	Slug     string  `json:"slug"`
	MemberID mesh.ID `json:"member_id"`
	Role     string  `json:"role"`
}

// ClaimRequest is the body of POST /invites/:code/claim (design C3).
type ClaimRequest struct {
	RecipientX25519 string `json:"recipient_x25519_pubkey" jsonschema:"32 bytes, base64url without padding"`
	PeerPubkey      string `json:"peer_pubkey,omitzero" jsonschema:"the joiner's member key, 64 lower-case hex"`
	DisplayName     string `json:"display_name,omitzero"`
	Proof           string `json:"proof,omitzero" jsonschema:"128 hex by peer_pubkey over host, code hash and both keys"`
	OwnerPrint      string `json:"owner_fingerprint,omitzero" jsonschema:"of the link: a broker whose mesh has another owner refuses, and nothing is used up"`
}

// ClaimAnswer is its answer, 200.
type ClaimAnswer struct {
	SealedRootKey       string  `json:"sealed_root_key" jsonschema:"80 bytes, base64url without padding"`
	MeshID              mesh.ID `json:"mesh_id"`
	MemberID            mesh.ID `json:"member_id"`
	OwnerPubkey         string  `json:"owner_pubkey"`
	CanonicalV2         string  `json:"canonical_v2"`
	InviteID            mesh.ID `json:"invite_id"`
	Role                string  `json:"role"`
	ExpiresAt           int64   `json:"expires_at" jsonschema:"seconds since the epoch"`
	CapabilitySignature string  `json:"capability_signature" jsonschema:"128 hex by the owner's key over canonical_v2"`
	MeshSlug            string  `json:"mesh_slug"`
	MeshName            string  `json:"mesh_name"`
	BrokerURL           string  `json:"broker_url"`
}

// JoinRequest is the body of POST /join, by which clients of the TypeScript system use an invite of version 1. They send
// the token taken apart, too; it is the text that counts (http-api A, row 5).
type JoinRequest struct {
	InviteToken string `json:"invite_token" jsonschema:"what stands behind ic://join/"`
	PeerPubkey  string `json:"peer_pubkey" jsonschema:"64 lower-case hex"`
	DisplayName string `json:"display_name"`
}

// JoinAnswer is its answer, 200.
type JoinAnswer struct {
	OK            bool    `json:"ok"`
	MemberID      mesh.ID `json:"memberId"`
	AlreadyMember bool    `json:"alreadyMember,omitzero"`
}

// JoinRefusal is the body of every refusal of POST /join.
type JoinRefusal struct {
	OK    bool      `json:"ok" jsonschema:"false"`
	Error string    `json:"error" jsonschema:"<code>: one sentence"`
	Code  mesh.Code `json:"code"`
}

// HTTPError is the body of every other refusal.
type HTTPError struct {
	Error string    `json:"error" jsonschema:"one sentence"`
	Code  mesh.Code `json:"code"`
	Hint  string    `json:"hint,omitzero"`
}

// Health is the body of GET /health.
type Health struct {
	Status  string `json:"status" jsonschema:"ok"`
	DB      string `json:"db" jsonschema:"up or down"`
	Version string `json:"version"`
	GitSHA  string `json:"gitSha"`
	Uptime  int64  `json:"uptime" jsonschema:"seconds"`
}
