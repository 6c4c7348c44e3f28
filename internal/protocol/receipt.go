package protocol

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Receipt tells a sender how far one copy of its message has come (design D5). Receipts are durable:
// seq counts them per sending member, from 1 without gaps, and receipts_since reads what was missed.
type Receipt struct {
	Seq             int64           `json:"seq"`
	MessageID       mesh.ID         `json:"messageId"`
	ClientMessageID mesh.ClientID   `json:"clientMessageId,omitzero"`
	Recipient       mesh.Key        `json:"recipient" jsonschema:"session key for a session's mailbox, else member key"`
	State           mesh.State      `json:"state" jsonschema:"accepted, delivered, surfaced, acknowledged, expired or rejected"`
	Reason          string          `json:"reason,omitzero"`
	At              string          `json:"at"`
	Proof           wire.RawMessage `json:"proof,omitzero" jsonschema:"of surfaced and acknowledged: a ReceiptProof, as the reader gave it"`
}

// MaxReceiptProofBytes is the longest proof of a receipt.
const MaxReceiptProofBytes = 1024

// ReceiptProof is the reader's own word for surfaced and acknowledged (receipts/1, design D5): the broker passes it on and
// cannot make one. What it signs is seal.Receipt.
type ReceiptProof struct {
	At          int64    `json:"at" jsonschema:"milliseconds since the epoch"`
	Signature   string   `json:"signature" jsonschema:"128 hex, by the key of recipient"`
	Member      mesh.Key `json:"member,omitzero" jsonschema:"where that is a session key: its member's"`
	Attestation *Vouch   `json:"attestation,omitzero" jsonschema:"and that member's word for it"`
}

// TellRequest tells the sender of a message that it was shown to its reader, or acknowledged.
type TellRequest struct {
	MessageID mesh.ID         `json:"messageId"`
	Recipient mesh.Key        `json:"recipient" jsonschema:"mailbox of the caller's member that has the message: a session key, or the member's"`
	State     mesh.State      `json:"state" jsonschema:"surfaced or acknowledged"`
	Proof     wire.RawMessage `json:"proof" jsonschema:"a ReceiptProof, passed on as it is; at most 1024 bytes"`
}

// TellAnswer says that the receipt is on the broker's disk.
type TellAnswer struct {
	Known bool `json:"known,omitzero" jsonschema:"as much was told before; nothing changes"`
}

// ReceiptsRequest asks for the receipts after one.
type ReceiptsRequest struct {
	Seq   int64 `json:"seq"`
	Limit int   `json:"limit,omitzero" jsonschema:"1 to 1000, default 500"`
}

// ReceiptsAnswer is a page of receipts, oldest first.
type ReceiptsAnswer struct {
	Receipts []Receipt `json:"receipts"`
	More     bool      `json:"more,omitzero"`
}

// StatusRequest asks how far a message has come.
type StatusRequest struct {
	MessageID string `json:"messageId" jsonschema:"32 characters, or a prefix of at least 8"`
}

// RecipientStatus is one recipient of a message.
type RecipientStatus struct {
	Name   string     `json:"name"`
	Pubkey mesh.Key   `json:"pubkey"`
	Status string     `json:"status" jsonschema:"delivered, held or disconnected"`
	State  mesh.State `json:"state,omitzero"`
	At     string     `json:"at,omitzero"`
	Reason string     `json:"reason,omitzero"`
}

// StatusAnswer tells it to the sender or a recipient, and to nobody else (design D5).
type StatusAnswer struct {
	MessageID   string            `json:"messageId"`
	TargetSpec  string            `json:"targetSpec"`
	Delivered   bool              `json:"delivered" jsonschema:"to every recipient"`
	DeliveredAt *string           `json:"deliveredAt"`
	Recipients  []RecipientStatus `json:"recipients"`
}

// What has become of a message.
var (
	Receipts = wire.DefineEvent[Receipt](wire.Spec{
		Type: "receipt", Ours: true, Summary: "How far one copy of a sent message has come.",
	})
	ReceiptsSince = wire.Define[ReceiptsRequest, ReceiptsAnswer](wire.Spec{
		Type: "receipts_since", Reply: "receipts", Ours: true, Summary: "Read the receipts that were missed.",
	})
	TellReceipt = wire.Define[TellRequest, TellAnswer](wire.Spec{
		Type: "receipt_tell", Reply: "receipt_told", Ours: true,
		Summary: "Tell the sender of a message, with the reader's signature, that it was shown or acknowledged.",
	})
	MessageStatus = wire.Define[StatusRequest, StatusAnswer](wire.Spec{
		Type: "message_status", Reply: "message_status_result", Summary: "Read how far a message has come.",
	})
)
