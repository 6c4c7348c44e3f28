package localapi

import "github.com/claudemesh/claudemesh/internal/mesh"

// TrustRequest asks for the keys of a mesh, or of all.
type TrustRequest struct {
	Mesh string `json:"mesh,omitzero"`
}

// TrustedKey is a member's key and what is thought of it (design C7).
type TrustedKey struct {
	Mesh       string     `json:"mesh"`
	Name       string     `json:"name" jsonschema:"under which the key is pinned; for one that is not, what it claims"`
	Pubkey     mesh.Key   `json:"pubkey" jsonschema:"member key"`
	Level      string     `json:"level" jsonschema:"seen, accepted, rejected or replaced; conflict for a key that is not pinned because its name is another's"`
	IsSelf     bool       `json:"is_self,omitzero" jsonschema:"the user's own"`
	Claimed    string     `json:"claimed,omitzero" jsonschema:"how the broker calls it, where that differs"`
	Holders    []mesh.Key `json:"holders,omitzero" jsonschema:"the keys to which the claimed name is pinned; of a key that was just accepted, all that have its name"`
	Present    bool       `json:"present" jsonschema:"the broker still names it as a member"`
	Unattended bool       `json:"unattended,omitzero" jsonschema:"may reach sessions that act without their human"`
	Device     bool       `json:"device,omitzero" jsonschema:"another device of this user: asked for permissions, and may answer"`
	Features   []string   `json:"features" jsonschema:"what it has proved; less than that is a downgrade"`
	FirstSeen  string     `json:"first_seen,omitzero"`
	LastSeen   string     `json:"last_seen,omitzero"`
}

// TrustAnswer lists keys: those that wait for a decision first, then by name.
type TrustAnswer struct {
	Keys []TrustedKey `json:"keys"`
}

// TrustDecision is a human's word on a key.
type TrustDecision struct {
	Peer       string `json:"peer" jsonschema:"name, key, or key prefix of 16 or more hex"`
	Mesh       string `json:"mesh,omitzero"`
	Unattended bool   `json:"unattended,omitzero" jsonschema:"accept only: its messages also reach sessions that act without their human"`
	Device     bool   `json:"device,omitzero" jsonschema:"accept only: it is another device of this user, which is asked for permissions and may answer"`
}

// TrustedAnswer is the key as it stands now.
type TrustedAnswer struct {
	Key TrustedKey `json:"key"`
}

// VerifyRequest asks for safety numbers.
type VerifyRequest struct {
	Peer   string `json:"peer,omitzero" jsonschema:"name, key, or key prefix of 16 or more hex; empty for everybody"`
	Mesh   string `json:"mesh,omitzero"`
	Legacy bool   `json:"legacy,omitzero" jsonschema:"with the peer's session keys, as older clients show it: the two sides differ"`
}

// SafetyNumber is what two people compare (crypto 14).
type SafetyNumber struct {
	Mesh   string   `json:"mesh"`
	Peer   string   `json:"peer"`
	Pubkey mesh.Key `json:"pubkey" jsonschema:"the peer's member key; with legacy a session key"`
	Number string   `json:"safetyNumber" jsonschema:"six groups of five digits"`
	Level  string   `json:"level" jsonschema:"as in the list of keys"`

	Fingerprint string `json:"fingerprint" jsonschema:"of the peer in this mesh under its name, as its own side shows it as own; six groups of five digits"`
	Own         string `json:"own_fingerprint" jsonschema:"of the user"`
}

// VerifyAnswer lists safety numbers by mesh and name.
type VerifyAnswer struct {
	Numbers []SafetyNumber `json:"numbers"`
}

// Trust in keys.
var (
	Trust = Define[TrustRequest, TrustAnswer](Spec{
		Route: "GET /v1/trust", Feature: "trust", Scope: User,
		Summary: "List the keys that were met, and what was decided about them.",
	})
	TrustAccept = Define[TrustDecision, TrustedAnswer](Spec{
		Route: "POST /v1/trust/accept", Feature: "trust", Scope: HumanOnly,
		Summary: "Accept a peer's key under the name that it has now.",
	})
	TrustReject = Define[TrustDecision, TrustedAnswer](Spec{
		Route: "POST /v1/trust/reject", Feature: "trust", Scope: HumanOnly,
		Summary: "Reject a key: nothing is sent to it, and nothing that it signs is verified.",
	})
	Verify = Define[VerifyRequest, VerifyAnswer](Spec{
		Route: "GET /v1/verify", Feature: "trust", Scope: User,
		Summary: "Read safety numbers, for two people to compare.",
	})
)
