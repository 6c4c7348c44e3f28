package localapi

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// OutboxRequest lists what this user sent, newest first.
type OutboxRequest struct {
	Status string `json:"status,omitzero" jsonschema:"pending, inflight, done, dead or aborted"`
	Mesh   string `json:"mesh,omitzero"`
	Limit  int    `json:"limit,omitzero" jsonschema:"1 to 500, default 50"`
}

// OutboxItem is one row of the outbox. Times are ISO or null.
type OutboxItem struct {
	ID              string        `json:"id"`
	ClientMessageID mesh.ClientID `json:"client_message_id"`
	Status          string        `json:"status"`
	Mesh            string        `json:"mesh"`
	TargetSpec      string        `json:"target_spec"`
	TargetName      string        `json:"target_name,omitzero"`
	Encrypted       bool          `json:"encrypted" jsonschema:"false: the broker's operator can read it"`
	Attempts        int           `json:"attempts"`
	EnqueuedAt      *string       `json:"enqueued_at"`
	NextAttemptAt   *string       `json:"next_attempt_at"`
	DeliveredAt     *string       `json:"delivered_at" jsonschema:"when the broker took it; kept under its historical name"`
	BrokerMessageID *mesh.ID      `json:"broker_message_id"`
	LastError       *string       `json:"last_error"`
	AbortedAt       *string       `json:"aborted_at"`
	AbortedBy       *string       `json:"aborted_by"`
	SupersededBy    *string       `json:"superseded_by"`
	PayloadBytes    int64         `json:"payload_bytes"`
}

// OutboxAnswer is a page of the outbox.
type OutboxAnswer struct {
	Items []OutboxItem `json:"items"`
}

// InspectRequest asks for one row, by its row id, client message id, broker id, or a prefix of at least 8 of one of them.
type InspectRequest struct {
	ID   string `json:"id"`
	Mesh string `json:"mesh,omitzero"`
}

// InspectAnswer is one row whole. A session is told of what it sent itself.
type InspectAnswer struct {
	OutboxItem
	Priority          mesh.Priority `json:"priority"`
	ReplyToID         string        `json:"reply_to_id,omitzero"`
	SenderPubkey      mesh.Key      `json:"sender_pubkey,omitzero" jsonschema:"session that sent it; left out for the member itself"`
	TraceID           string        `json:"trace_id,omitzero"`
	FingerprintPrefix string        `json:"fingerprint_prefix" jsonschema:"first 16 hex digits of the request's fingerprint"`
	State             mesh.State    `json:"state" jsonschema:"the least of its recipients"`
	MayBeSent         bool          `json:"may_be_sent" jsonschema:"the broker may have it although it has not said so"`
	Body              *string       `json:"body" jsonschema:"null when it was forgotten: some days after the broker had it, or it was cancelled"`
	Recipients        []Recipient   `json:"recipients"`
}

// RequeueRequest sends a message that waits or failed again, under another id, to whom it went and nobody else.
type RequeueRequest struct {
	ID                 string        `json:"id" jsonschema:"row id, client message id, or a prefix of at least 8 of one of them"`
	NewClientMessageID mesh.ClientID `json:"new_client_message_id,omitzero" jsonschema:"a new one is made without it; the same one again requeues nothing twice"`
	Payload            *string       `json:"payload,omitzero" jsonschema:"another text in place of the old one"`
	AbortedBy          string        `json:"aborted_by,omitzero" jsonschema:"who did it; default operator"`
}

// RequeueAnswer names the row that ended and the one in its place.
type RequeueAnswer struct {
	AbortedRowID       string        `json:"aborted_row_id" jsonschema:"empty for one that came back with a backup: it leaves as it is, under its own id"`
	NewRowID           string        `json:"new_row_id"`
	NewClientMessageID mesh.ClientID `json:"new_client_message_id"`
	Mesh               string        `json:"mesh"`
	TargetSpec         string        `json:"target_spec"`
	Encrypted          bool          `json:"encrypted"`
	MayBeDoubled       bool          `json:"may_be_doubled" jsonschema:"the broker may have had the old one: it was under way and no answer came"`
}

// CancelRequest ends a message that waits or failed.
type CancelRequest struct {
	ID        string `json:"id" jsonschema:"row id, client message id, or a prefix of at least 8 of one of them"`
	AbortedBy string `json:"aborted_by,omitzero" jsonschema:"who did it; default operator"`
}

// CancelAnswer names the row that ended.
type CancelAnswer struct {
	AbortedRowID    string        `json:"aborted_row_id"`
	ClientMessageID mesh.ClientID `json:"client_message_id"`
	Mesh            string        `json:"mesh"`
	TargetSpec      string        `json:"target_spec"`
	MayBeSent       bool          `json:"may_be_sent" jsonschema:"the broker may have it: it was under way and no answer came"`
}

// The outbox.
var (
	Outbox = Define[OutboxRequest, OutboxAnswer](Spec{
		Route: "GET /v1/outbox", Feature: "outbox", Scope: User,
		Summary: "List what was sent, newest first.",
	})
	OutboxInspect = Define[InspectRequest, InspectAnswer](Spec{
		Route: "GET /v1/outbox/{id}", Feature: "outbox_requeue", Scope: User,
		Summary: "Read one row of the outbox, with its text.",
	})
	OutboxRequeue = Define[RequeueRequest, RequeueAnswer](Spec{
		Route: "POST /v1/outbox/requeue", Feature: "outbox_requeue", Scope: User,
		Summary: "Send a message that waits or failed again under another id, sealed anew, to the same target and no other.",
	})
	OutboxCancel = Define[CancelRequest, CancelAnswer](Spec{
		Route: "POST /v1/outbox/cancel", Feature: "outbox_requeue", Scope: User,
		Summary: "End a message that waits or failed.",
	})
)
