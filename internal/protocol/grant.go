package protocol

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// GrantsUpdateRequest changes what the caller's member lets others do (wire 8.1). What is not named stays.
type GrantsUpdateRequest struct {
	Grants map[mesh.Key][]mesh.Cap `json:"grants" jsonschema:"by member or session key of the other; an empty list blocks, null is as in reset"`
	Reset  []mesh.Key              `json:"reset,omitzero" jsonschema:"keys whose entry goes, so that the defaults hold"`
}

// GrantsUpdateAnswer counts the entries that the member has now.
type GrantsUpdateAnswer struct {
	Entries int `json:"entries"`
}

// GrantsListRequest asks for the caller's own entries.
type GrantsListRequest struct {
	After mesh.Key `json:"after,omitzero" jsonschema:"the next of the page before"`
}

// GrantsListAnswer is a page of them, by key.
type GrantsListAnswer struct {
	Grants map[mesh.Key][]mesh.Cap `json:"grants"`
	Next   mesh.Key                `json:"next,omitzero" jsonschema:"set when there are more"`
}

// What one member lets another do. Only the member itself reads and changes its entries.
var (
	GrantsUpdate = wire.Define[GrantsUpdateRequest, GrantsUpdateAnswer](wire.Spec{
		Type: "grants_update", Reply: "grants_updated", Ours: true, Summary: "Grant, revoke, block: change what others may do to the caller's member.",
	})
	GrantsList = wire.Define[GrantsListRequest, GrantsListAnswer](wire.Spec{
		Type: "grants_list", Reply: "grants_list_result", Ours: true, Summary: "Read the caller's own entries.",
	})
)
