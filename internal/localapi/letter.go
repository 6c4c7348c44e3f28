package localapi

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// LettersRequest lists dead letters, newest first.
type LettersRequest struct {
	Mesh  string `json:"mesh,omitzero"`
	Limit int    `json:"limit,omitzero" jsonschema:"1 to 1000, default 100"`
}

// DeadLetter is a message that came and could not be shown, or that left and was never delivered.
type DeadLetter struct {
	ID              string        `json:"id"`
	Direction       string        `json:"direction" jsonschema:"in or out"`
	Reason          string        `json:"reason" jsonschema:"in: undecryptable, unproved, blocked, replayed, reflected or malformed; out: rejected or expired"`
	Detail          string        `json:"detail,omitzero" jsonschema:"out: what the broker said, or why it was given up"`
	Mesh            string        `json:"mesh"`
	Name            string        `json:"name,omitzero" jsonschema:"in: the sender, as the relay calls it; out: whom it was for"`
	Pubkey          mesh.Key      `json:"pubkey,omitzero"`
	Target          string        `json:"target,omitzero" jsonschema:"out: where it went, when that is no key"`
	ClientMessageID mesh.ClientID `json:"client_message_id,omitzero"`
	BrokerMessageID mesh.ID       `json:"broker_message_id,omitzero"`
	At              string        `json:"at" jsonschema:"in: when it came; out: when it was queued"`
	Redeliverable   bool          `json:"redeliverable" jsonschema:"redeliver may help: once the key is here, the sender proved or unblocked, or the way free"`
}

// LettersAnswer is what a caller may see of the dead letters.
type LettersAnswer struct {
	Letters   []DeadLetter `json:"letters"`
	HeldCount int          `json:"held_count,omitzero" jsonschema:"letters that are kept from this session and not listed"`
}

// RedeliverRequest tries a dead letter again.
type RedeliverRequest struct {
	ID                 string        `json:"id" jsonschema:"its id, client message id or broker id"`
	NewClientMessageID mesh.ClientID `json:"new_client_message_id,omitzero" jsonschema:"out: under this id; the same one again sends nothing twice"`
}

// RedeliverAnswer says what came of it.
type RedeliverAnswer struct {
	ID        string `json:"id"`
	Direction string `json:"direction" jsonschema:"in or out"`
	Outcome   string `json:"outcome" jsonschema:"delivered: it is in the inbox now; verified: it was, and its sender is proved now; queued: it is sent again"`
	Mesh      string `json:"mesh"`
	MessageID string `json:"message_id" jsonschema:"in: its row of the inbox; out: its new client message id"`
}

// Dead letters.
var (
	Letters = Define[LettersRequest, LettersAnswer](Spec{
		Route: "GET /v1/letters", Feature: "letters", Scope: User,
		Summary: "List what came and could not be shown, and what left and was never delivered.",
	})
	Redeliver = Define[RedeliverRequest, RedeliverAnswer](Spec{
		Route: "POST /v1/letters/redeliver", Feature: "letters", Scope: User,
		Summary: "Open a dead letter that came with the keys of now, or send one again that certainly reached nobody.",
	})
)
