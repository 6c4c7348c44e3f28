package localapi

import "github.com/claudemesh/claudemesh/internal/mesh"

// ReceiptEvent tells that one copy of a message that was sent from here has come further (design D5).
type ReceiptEvent struct {
	TS              string        `json:"ts"`
	Mesh            string        `json:"mesh"`
	MessageID       mesh.ID       `json:"message_id,omitzero"`
	ClientMessageID mesh.ClientID `json:"client_message_id"`
	Recipient       Recipient     `json:",embed"`
}

// SurfacedRequest gives back the attempt tokens that a host showed with messages: its hook saw them outside of any text
// (design E1).
type SurfacedRequest struct {
	Attempts []string `json:"attempts" jsonschema:"attempt tokens, at most 1000"`
}

// SurfacedAnswer counts the messages of which it was not known before that they were shown.
type SurfacedAnswer struct {
	Marked int `json:"marked"`
}

// AcknowledgeRequest acknowledges a message that came.
type AcknowledgeRequest struct {
	ID   string `json:"id" jsonschema:"of the message: the broker's, the sender's or the inbox's"`
	Mesh string `json:"mesh,omitzero"`
}

// AcknowledgeAnswer says who hears of it.
type AcknowledgeAnswer struct {
	MessageID       mesh.ID       `json:"message_id,omitzero"`
	ClientMessageID mesh.ClientID `json:"client_message_id"`
	Mesh            string        `json:"mesh"`
	SenderName      string        `json:"sender_name"`
	SenderPubkey    mesh.Key      `json:"sender_pubkey"`
	Told            string        `json:"told" jsonschema:"due: the sender is told as soon as its broker takes it; told; withheld: by this user's setting; unasked: the sender is not proved, or its client takes no receipts; refused: by the broker"`
}

// What readers say of messages.
var (
	InboxSurfaced = Define[SurfacedRequest, SurfacedAnswer](Spec{
		Route: "POST /v1/inbox/surfaced", Feature: "receipts", Scope: User, BodyLimit: 128 << 10,
		Summary: "Prove that the host showed messages, by the attempt tokens that it was given with them.",
	})
	InboxAcknowledge = Define[AcknowledgeRequest, AcknowledgeAnswer](Spec{
		Route: "POST /v1/inbox/ack", Feature: "receipts", Scope: User, Tool: true,
		Summary: "Acknowledge a message to its sender, with a signature.",
	})
)
