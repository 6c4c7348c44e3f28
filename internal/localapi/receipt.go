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

// EventStatus is the kind of the events of StatusWatch: each is a StatusAnswer.
const EventStatus = "status"

// Hop is a moment on the way of a message.
type Hop struct {
	At       string     `json:"at,omitzero" jsonschema:"by the clock of who says it; left out where nobody said when"`
	Where    string     `json:"where" jsonschema:"daemon, broker, recipient or host"`
	Event    string     `json:"event" jsonschema:"a state; of the daemon that received it also: claimed, offered, seen, withheld, unasked, told or refused"`
	State    mesh.State `json:"state,omitzero" jsonschema:"of the copy from then on"`
	Who      string     `json:"who,omitzero" jsonschema:"peer, broker or session"`
	Pubkey   mesh.Key   `json:"pubkey,omitzero" jsonschema:"of the copy"`
	Detail   string     `json:"detail,omitzero"`
	Verified bool       `json:"verified" jsonschema:"known by this machine itself, or signed by the recipient; false: the relay says so"`
}

// TraceAnswer is the way of a message as far as this machine knows it, in the order of time.
type TraceAnswer struct {
	TraceID         string        `json:"trace_id,omitzero" jsonschema:"stands in the logs of every daemon and broker on the way"`
	MessageID       mesh.ID       `json:"message_id,omitzero"`
	ClientMessageID mesh.ClientID `json:"client_message_id"`
	Mesh            string        `json:"mesh"`
	TargetSpec      string        `json:"target,omitzero"`
	Sent            bool          `json:"sent" jsonschema:"it left from here"`
	Received        bool          `json:"received" jsonschema:"it came here"`
	State           mesh.State    `json:"state,omitzero" jsonschema:"the least of its recipients, where it left from here"`
	Hops            []Hop         `json:"hops"`
}

// What readers say of messages.
var (
	StatusWatch = Define[StatusRequest, None](Spec{
		Route: "GET /v1/messages/{id}/watch", Feature: "receipts", Scope: User, Stream: true,
		Summary: "Follow how far a sent message comes: what is known, then each change, until nothing more can become known.",
	})
	MessageTrace = Define[StatusRequest, TraceAnswer](Spec{
		Route: "GET /v1/messages/{id}/trace", Feature: "receipts", Scope: User,
		Summary: "Read the way of a message that was sent or received, with times.",
	})
	InboxSurfaced = Define[SurfacedRequest, SurfacedAnswer](Spec{
		Route: "POST /v1/inbox/surfaced", Feature: "receipts", Scope: User, BodyLimit: 128 << 10,
		Summary: "Prove that the host showed messages, by the attempt tokens that it was given with them.",
	})
	InboxAcknowledge = Define[AcknowledgeRequest, AcknowledgeAnswer](Spec{
		Route: "POST /v1/inbox/ack", Feature: "receipts", Scope: User,
		Summary: "Acknowledge a message to its sender, with a signature.",
	})
)
