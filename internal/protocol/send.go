package protocol

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// SendRequest hands a message to the broker (wire 3.1).
type SendRequest struct {
	ID                 string          `json:"id,omitzero" jsonschema:"repeated by the ack"`
	TargetSpec         string          `json:"targetSpec" jsonschema:"64 hex, *, @group or #topic-id"`
	Priority           mesh.Priority   `json:"priority" jsonschema:"now, next or low"`
	Nonce              string          `json:"nonce" jsonschema:"24 bytes, standard base64 with padding; may be empty for plaintext kinds"`
	Ciphertext         string          `json:"ciphertext" jsonschema:"standard base64 with padding: a box for one key, plain text otherwise"`
	Mentions           []string        `json:"mentions,omitzero"`
	ReplyToID          string          `json:"replyToId,omitzero" jsonschema:"the message that this one answers"`
	BodyVersion        int             `json:"bodyVersion,omitzero"`
	ClientMessageID    mesh.ClientID   `json:"client_message_id,omitzero" jsonschema:"same id again means the same message"`
	RequestFingerprint string          `json:"request_fingerprint,omitzero" jsonschema:"64 hex; another one under the same id is a conflict"`
	TraceID            string          `json:"traceId,omitzero" jsonschema:"follows the message through the logs"`
	Auth               wire.RawMessage `json:"auth,omitzero" jsonschema:"sender-proof/1: a SenderProof, passed on as it is; at most 1024 bytes"`
	After              mesh.ClientID   `json:"after,omitzero" jsonschema:"client id of the send before it to the same target, whose ack is not here yet: where the broker has not accepted that one, it refuses this one with out_of_order, so that nothing overtakes"`
}

// FrameID is the id that the ack repeats.
func (r SendRequest) FrameID() string { return r.ID }

// MaxAuthBytes bounds the auth of a send.
const MaxAuthBytes = 1024

// SenderProof is the auth of a message: its sender's signature over what it says and where it goes (design C8). What it
// signs is in package seal: Proof and Vouch.
type SenderProof struct {
	Name        string `json:"name,omitzero" jsonschema:"of the session; empty for the member itself"`
	SentAt      int64  `json:"sentAt" jsonschema:"milliseconds since the epoch"`
	Signature   string `json:"signature" jsonschema:"128 hex, by the key of senderPubkey"`
	Attestation *Vouch `json:"attestation,omitzero" jsonschema:"where that is a session key: its member's word for it, at the time of sentAt"`
	Receipts    bool   `json:"receipts,omitzero" jsonschema:"the sender takes signed receipts (receipts/1); not signed: without it nobody is told anything"`
}

// FingerprintMismatch is the conflict of an id that was accepted for another message.
const FingerprintMismatch = "request_fingerprint_mismatch"

// Ack answers a send (wire 3.2). A refusal is an ack with `error`.
type Ack struct {
	ID         string    `json:"id" jsonschema:"of the send"`
	MessageID  mesh.ID   `json:"messageId" jsonschema:"empty when refused"`
	Queued     bool      `json:"queued"`
	Error      string    `json:"error,omitzero" jsonschema:"<code>: <text>; ends in (invalid) when it is final"`
	Code       mesh.Code `json:"code,omitzero"`
	Duplicate  bool      `json:"duplicate,omitzero" jsonschema:"the id was accepted before; messageId is the first one's"`
	Recipients int       `json:"recipients,omitzero" jsonschema:"mailboxes it was put into"`
	RetryMs    int64     `json:"retryMs,omitzero" jsonschema:"when a rate limit has room again"`

	// Of a repetition (daemon 15).
	FirstSeenAt      string `json:"firstSeenAt,omitzero" jsonschema:"of a duplicate: when the id was accepted"`
	HistoryAvailable *bool  `json:"historyAvailable,omitzero" jsonschema:"of a duplicate: false when the broker has dropped the text, because every copy is final"`
	Conflict         string `json:"conflict,omitzero" jsonschema:"request_fingerprint_mismatch: the id was accepted for another message"`
}

// PushedMessage is a message on its way to a recipient: the union of the fields of both broker generations
// (wire 3.3). It is the same for every recipient, but for Mailbox.
type PushedMessage struct {
	MessageID          mesh.ID         `json:"messageId"`
	MeshID             mesh.ID         `json:"meshId"`
	SenderPubkey       mesh.Key        `json:"senderPubkey" jsonschema:"session key, else member key: the key that opens a box"`
	SenderMemberPubkey mesh.Key        `json:"senderMemberPubkey,omitzero"`
	SenderMemberID     mesh.ID         `json:"senderMemberId,omitzero"`
	SenderName         string          `json:"senderName,omitzero"`
	TargetSpec         string          `json:"targetSpec,omitzero"`
	TargetKind         TargetKind      `json:"targetKind,omitzero"`
	Topic              string          `json:"topic,omitzero"`
	ReplyToID          string          `json:"replyToId,omitzero"`
	Priority           mesh.Priority   `json:"priority"`
	Nonce              string          `json:"nonce"`
	Ciphertext         string          `json:"ciphertext"`
	CreatedAt          string          `json:"createdAt"`
	ClientMessageID    mesh.ClientID   `json:"client_message_id,omitzero"`
	RequestFingerprint string          `json:"request_fingerprint,omitzero"`
	BodyVersion        int             `json:"bodyVersion,omitzero"`
	TraceID            string          `json:"traceId,omitzero"`
	Auth               wire.RawMessage `json:"auth,omitzero" jsonschema:"of the send, as it came: a SenderProof"`
	Subtype            string          `json:"subtype,omitzero" jsonschema:"system, webhook or reminder; empty for a message"`
	Event              string          `json:"event,omitzero"`
	EventData          wire.RawMessage `json:"eventData,omitzero"`
	Mailbox            TargetKind      `json:"mailbox,omitzero" jsonschema:"member: it waited for the member, and comes over a session's connection because no better one is there; empty: for the key of this connection"`
}

// OverSession turns the frame of a push into that of a copy of a member that goes over the connection of one of its
// sessions: who gets it again over another one has to know that it is the same copy.
func OverSession(push []byte) []byte {
	const mark = `,"mailbox":"` + string(KindMember) + `"}`
	whole := len(push) - len("}")
	return append(push[:whole:whole], mark...)
}

// ClientAckRequest says that a pushed message is on the recipient's disk (wire 3.4).
type ClientAckRequest struct {
	ClientMessageID mesh.ClientID `json:"clientMessageId,omitzero"`
	BrokerMessageID mesh.ID       `json:"brokerMessageId,omitzero"`
}

// Sending and delivery.
var (
	Send = wire.Define[SendRequest, Ack](wire.Spec{
		Type: "send", Reply: "ack", Match: wire.ByID,
		Summary: "Hand over a message. The ack comes when it is on the broker's disk.",
	})
	Push = wire.DefineEvent[PushedMessage](wire.Spec{
		Type: "push", Summary: "A message for this connection.",
	})
	ClientAck = wire.Define[ClientAckRequest, wire.None](wire.Spec{
		Type: "client_ack", Summary: "The pushed message is on the recipient's disk.",
	})
)
