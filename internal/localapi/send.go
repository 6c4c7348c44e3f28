package localapi

import (
	"net/http"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// SendRequest hands a message to the daemon (daemon 8.2). Times out never mean "not sent": ask again with the same id.
type SendRequest struct {
	To               string          `json:"to" jsonschema:"name, key, key prefix of 16 or more hex, @group or *"`
	Message          string          `json:"message" jsonschema:"the text"`
	Priority         string          `json:"priority,omitzero" jsonschema:"now, next or low"`
	Meta             wire.RawMessage `json:"meta,omitzero" jsonschema:"object; part of the fingerprint only"`
	ReplyToID        string          `json:"reply_to_id,omitzero" jsonschema:"the message that this one answers"`
	ClientMessageID  string          `json:"client_message_id,omitzero" jsonschema:"same id again means the same message"`
	Mesh             string          `json:"mesh,omitzero" jsonschema:"slug; needed when the address is not unique across the joined meshes"`
	ToSelf           bool            `json:"to_self,omitzero" jsonschema:"allow the caller's own member or session as target"`
	RequireEncrypted bool            `json:"require_encrypted,omitzero" jsonschema:"refuse kinds that the broker can read"`
	AllowDowngrade   bool            `json:"allow_downgrade,omitzero" jsonschema:"send also where the recipient proves less than it once did"`
	Wait             mesh.State      `json:"wait,omitzero" jsonschema:"accepted, delivered, surfaced or acknowledged: answer when every recipient has come so far"`
	WaitMs           int64           `json:"wait_ms,omitzero" jsonschema:"for at most this long; default 30000"`
}

// TakeHeaders reads the id from an Idempotency-Key where the body has none (daemon 8.2).
func (r *SendRequest) TakeHeaders(h http.Header) {
	if r.ClientMessageID == "" {
		r.ClientMessageID = strings.TrimSpace(h.Get("Idempotency-Key"))
	}
}

// SendAnswer says what is known: `queued` is on the daemon's disk and no more (design D5).
type SendAnswer struct {
	ClientMessageID mesh.ClientID `json:"client_message_id"`
	Status          string        `json:"status,omitzero" jsonschema:"queued or inflight"`
	BrokerMessageID mesh.ID       `json:"broker_message_id,omitzero"`
	Duplicate       bool          `json:"duplicate,omitzero"`
	Mesh            string        `json:"mesh,omitzero"`
	Target          string        `json:"target,omitzero" jsonschema:"what the address was resolved to"`
	TargetName      string        `json:"target_name,omitzero"`
	Encrypted       bool          `json:"encrypted"`
	RecipientOnline *bool         `json:"recipient_online,omitzero" jsonschema:"for one peer: whether it is connected, as far as the daemon knows"`
	State           mesh.State    `json:"state,omitzero"`
	Recipients      []Recipient   `json:"recipients,omitzero"`
	FirstPlaintext  bool          `json:"first_plaintext,omitzero" jsonschema:"the first message to this mesh that its broker's operator can read"`
}

// SendManyRequest hands the same text to several recipients, as a message to each: all of them are taken, or none.
type SendManyRequest struct {
	Recipients []string    `json:"recipients" jsonschema:"each as the to of a letter; at most 100"`
	Letter     SendRequest `json:"letter" jsonschema:"without to; each message has an id made of its id and the recipient, so that a repetition sends nothing twice"`
}

// TakeHeaders is that of the letter.
func (r *SendManyRequest) TakeHeaders(h http.Header) { r.Letter.TakeHeaders(h) }

// SendManyAnswer has an answer for each recipient, in their order; two names of one peer are one.
type SendManyAnswer struct {
	Messages []SendAnswer `json:"messages"`
}

// HTTPStatus is 200 for an id that the broker already has, 202 otherwise (daemon 11.4).
func (a SendAnswer) HTTPStatus() int {
	if a.Duplicate {
		return http.StatusOK
	}
	return http.StatusAccepted
}

// Recipient is one copy of a message and how far it has come.
type Recipient struct {
	Name     string     `json:"name,omitzero"`
	Pubkey   mesh.Key   `json:"pubkey"`
	State    mesh.State `json:"state"`
	At       string     `json:"at,omitzero"`
	Reason   string     `json:"reason,omitzero"`
	Verified bool       `json:"verified" jsonschema:"false: the relay says so; true: the recipient signed it, or this daemon ended it"`
	CanTell  *bool      `json:"can_tell,omitzero" jsonschema:"of a delivered copy: whether its reader's client, and the broker, can tell that it was shown or acknowledged; left out where that is not known"`
}

// StatusRequest asks for one message by its client id, its broker id, or a prefix of at least 8.
type StatusRequest struct {
	ID   string `json:"id"`
	Mesh string `json:"mesh,omitzero"`
}

// Obstacle is the message that another one waits behind, as messages to one target leave in order, and why it has not left.
type Obstacle struct {
	ClientMessageID mesh.ClientID `json:"client_message_id"`
	Reason          string        `json:"reason"`
}

// StatusAnswer is all that is known of a sent message.
type StatusAnswer struct {
	MessageID       mesh.ID       `json:"messageId,omitzero"`
	ClientMessageID mesh.ClientID `json:"client_message_id,omitzero"`
	Mesh            string        `json:"mesh"`
	TargetSpec      string        `json:"targetSpec"`
	State           mesh.State    `json:"state" jsonschema:"the least of its recipients"`
	Delivered       bool          `json:"delivered"`
	DeliveredAt     *string       `json:"deliveredAt"`
	Encrypted       bool          `json:"encrypted" jsonschema:"false: the broker's operator can read it"`
	DeliveredTo     int           `json:"delivered_to" jsonschema:"recipients who have it"`
	RecipientCount  int           `json:"recipient_count" jsonschema:"of how many; 0 while the broker has not said"`
	Recipients      []Recipient   `json:"recipients"`
	Attempts        int           `json:"attempts,omitzero"`
	LastError       string        `json:"last_error,omitzero"`
	WaitsBehind     *Obstacle     `json:"waits_behind,omitzero" jsonschema:"of a queued message: the one to the same target that has to leave first, and why it has not"`
	EnqueuedAt      string        `json:"enqueued_at,omitzero"`
	Settled         bool          `json:"settled" jsonschema:"nothing more can become known of it"`
}

// Sending.
var (
	Send = Define[SendRequest, SendAnswer](Spec{
		Route: "POST /v1/send", Feature: "send", Scope: User, Tool: "send_message",
		Summary: "Queue a message. The answer says queued when it is on this machine's disk. The header Idempotency-Key stands for a client_message_id that is left out.",
	})
	SendMany = Define[SendManyRequest, SendManyAnswer](Spec{
		Route: "POST /v1/send/many", Feature: "send", Scope: User,
		Summary: "Queue one text for several recipients: all of them, or none.",
	})
	MessageStatus = Define[StatusRequest, StatusAnswer](Spec{
		Route: "GET /v1/messages/{id}", Feature: "messages", Scope: User, Tool: "message_status",
		Summary: "Read how far a sent message has come, per recipient.",
	})
)
