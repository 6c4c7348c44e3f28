package localapi

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// InboxRequest lists what came, newest first.
type InboxRequest struct {
	Mesh       string `json:"mesh,omitzero"`
	Since      string `json:"since,omitzero" jsonschema:"ISO time; received at or after"`
	Topic      string `json:"topic,omitzero"`
	From       string `json:"from,omitzero" jsonschema:"sender's key or name"`
	Limit      int    `json:"limit,omitzero" jsonschema:"1 to 1000, default 100"`
	UnreadOnly bool   `json:"unread_only,omitzero"`
	Search     string `json:"search,omitzero" jsonschema:"sender, topic or text has it, whatever its case"`
	MarkSeen   *bool  `json:"mark_seen,omitzero" jsonschema:"false leaves unread rows unread; default true"`
}

// InboxItem is one received message.
type InboxItem struct {
	Seq                int64         `json:"seq" jsonschema:"order of arrival"`
	ID                 string        `json:"id"`
	ClientMessageID    mesh.ClientID `json:"client_message_id"`
	BrokerMessageID    mesh.ID       `json:"broker_message_id"`
	Mesh               string        `json:"mesh"`
	Topic              *string       `json:"topic"`
	SenderPubkey       mesh.Key      `json:"sender_pubkey"`
	SenderMemberPubkey mesh.Key      `json:"sender_member_pubkey,omitzero"`
	SenderName         string        `json:"sender_name"`
	Body               *string       `json:"body" jsonschema:"null when it could not be decrypted, or is held or withheld"`
	Priority           mesh.Priority `json:"priority"`
	ReceivedAt         string        `json:"received_at"`
	CreatedAt          string        `json:"created_at,omitzero"`
	ReplyToID          *string       `json:"reply_to_id"`
	SeenAt             *string       `json:"seen_at"`
	RecipientPubkey    mesh.Key      `json:"recipient_pubkey"`
	RecipientKind      string        `json:"recipient_kind" jsonschema:"session or member"`
	Encrypted          bool          `json:"encrypted" jsonschema:"a box that opened; false: the broker can read it, or it did not open"`
	Verified           bool          `json:"verified" jsonschema:"the sender's name is proved; false: claimed by the relay"`
	Undecryptable      bool          `json:"undecryptable,omitzero"`
	Held               bool          `json:"held,omitzero" jsonschema:"kept from a session that acts without its human"`
	Muted              bool          `json:"muted,omitzero" jsonschema:"its sender, or the group that it is for, is muted: sessions get it only when they ask"`
	Announced          bool          `json:"announced,omitzero" jsonschema:"the session takes messages by its inbox: no text on its stream"`
	BodyBytes          int           `json:"body_bytes,omitzero" jsonschema:"the text is that long, and by a setting not shown in sessions"`
	Subtype            string        `json:"subtype,omitzero"`
	Attempt            string        `json:"attempt,omitzero" jsonschema:"random token of this offer to a host; on the event stream of a deliverer only"`
	Path               string        `json:"path,omitzero" jsonschema:"by which it is to be shown; on the event stream of a deliverer only, and of one that said which paths it has"`
}

// InboxAnswer is a page of the inbox.
type InboxAnswer struct {
	Items      []InboxItem `json:"items"`
	MarkedSeen int         `json:"marked_seen"`
	Unread     int         `json:"unread_count" jsonschema:"messages of the caller's that are unread now, listed or not, held ones too"`
	HeldCount  int         `json:"held_count,omitzero" jsonschema:"messages that are kept from this session and not listed"`
}

// SeenRequest marks rows as read.
type SeenRequest struct {
	IDs []string `json:"ids"`
}

// SeenAnswer counts the rows that were unread.
type SeenAnswer struct {
	MarkedSeen int `json:"marked_seen"`
}

// FlushRequest forgets messages. Without mesh and before it is all that the caller may read; one that is empty is
// refused.
type FlushRequest struct {
	Mesh   *string `json:"mesh,omitzero"`
	Before *string `json:"before,omitzero" jsonschema:"ISO time that has passed; received before it"`
}

// FlushAnswer counts the messages that are gone.
type FlushAnswer struct {
	Removed int `json:"removed"`
}

// InboxDeleteRequest forgets one message.
type InboxDeleteRequest struct {
	ID string `json:"id" jsonschema:"its id, client message id or broker id"`
}

// InboxDeleteAnswer names the message that is gone.
type InboxDeleteAnswer struct {
	Removed int    `json:"removed"`
	ID      string `json:"id"`
}

// OfferedRequest confirms that rows were written to the host (design D5: offered, not surfaced).
type OfferedRequest struct {
	Attempts []string `json:"attempts" jsonschema:"attempt tokens, at most 1000"`
	Path     string   `json:"path" jsonschema:"socket, channel or tool"`
}

// OfferedAnswer counts the rows.
type OfferedAnswer struct {
	Marked int `json:"marked"`
}

// TakeRequest asks for messages that a host is shown along with the answer of a tool.
type TakeRequest struct {
	Limit int `json:"limit,omitzero" jsonschema:"1 to 20, default 5"`
}

// TakeAnswer is what the session is to be shown now: nothing where another path shows it.
type TakeAnswer struct {
	Items   []InboxItem `json:"items"`
	Notices []Notice    `json:"notices"`
}

// ReturnRequest gives back rows that were certainly not written to the host: another path is tried.
type ReturnRequest struct {
	Attempts []string `json:"attempts" jsonschema:"attempt tokens, at most 1000"`
	Path     string   `json:"path" jsonschema:"socket, channel or tool"`
	Reason   string   `json:"reason,omitzero" jsonschema:"why nothing could be written, at most 200 bytes"`
}

// ReturnAnswer counts the rows.
type ReturnAnswer struct {
	Returned int `json:"returned"`
}

// EventsRequest opens the event stream.
type EventsRequest struct {
	Deliver bool   `json:"deliver,omitzero" jsonschema:"this subscriber shows messages to the session's host: rows are claimed for it, once"`
	Paths   string `json:"paths,omitzero" jsonschema:"the paths that a deliverer has, parted by commas; the daemon chooses among them and its own. None: the deliverer chooses"`
}

// The kinds of the event stream (daemon 9). A message's event id is its inbox seq.
const (
	EventMessage      = "message"
	EventNotice       = "notice"
	EventPeerJoin     = "peer_join"
	EventPeerLeave    = "peer_leave"
	EventSystem       = "system"
	EventBrokerStatus = "broker_status"
	EventReceipt      = "receipt"
)

// MessageEvent is a message on the event stream.
type MessageEvent struct {
	TS string `json:"ts"`
	InboxItem
}

// Notice is a constant sentence of the daemon for a session: held or possibly unshown messages wait (design E3).
type Notice struct {
	TS    string `json:"ts"`
	Kind  string `json:"kind" jsonschema:"held, unconfirmed or digest"`
	Count int    `json:"count"`
	Text  string `json:"text"`
}

// BrokerStatus tells a change of one mesh's connection.
type BrokerStatus struct {
	TS     string `json:"ts"`
	Mesh   string `json:"mesh"`
	Status string `json:"status" jsonschema:"open, connecting, reconnecting, closed, rejected or banned"`
}

// SystemEvent passes on an event of the mesh.
type SystemEvent struct {
	TS    string            `json:"ts"`
	Mesh  string            `json:"mesh"`
	Event string            `json:"event"`
	Data  map[string]string `json:"data,omitzero"`
}

// Receiving.
var (
	Inbox = Define[InboxRequest, InboxAnswer](Spec{
		Route: "GET /v1/inbox", Feature: "inbox", Scope: User, Tool: "check_messages",
		Summary: "List received messages, newest first; listed unread rows become read.",
	})
	InboxSeen = Define[SeenRequest, SeenAnswer](Spec{
		Route: "POST /v1/inbox/seen", Feature: "inbox", Scope: User, BodyLimit: 64 << 10,
		Summary: "Mark messages as read.",
	})
	InboxFlush = Define[FlushRequest, FlushAnswer](Spec{
		Route: "DELETE /v1/inbox", Feature: "inbox_delete", Scope: User,
		Summary: "Forget messages: those of a mesh, those before a time, or all.",
	})
	InboxDelete = Define[InboxDeleteRequest, InboxDeleteAnswer](Spec{
		Route: "DELETE /v1/inbox/{id}", Feature: "inbox_delete", Scope: User,
		Summary: "Forget one message.",
	})
	InboxOffered = Define[OfferedRequest, OfferedAnswer](Spec{
		Route: "POST /v1/inbox/offered", Feature: "inbox", Scope: User,
		Summary: "Confirm that messages were written to the host.",
	})
	InboxTake = Define[TakeRequest, TakeAnswer](Spec{
		Route: "POST /v1/inbox/take", Feature: "inbox", Scope: User, BodyLimit: 4 << 10,
		Summary: "Take messages for a session that only answers of its tools can show it; each is given out once.",
	})
	InboxReturn = Define[ReturnRequest, ReturnAnswer](Spec{
		Route: "POST /v1/inbox/return", Feature: "inbox", Scope: User,
		Summary: "Give back messages that could not be written to the host.",
	})
	Events = Define[EventsRequest, None](Spec{
		Route: "GET /v1/events", Feature: "events", Scope: User, Stream: true,
		Summary: "Follow messages and events as they come; Last-Event-ID resumes messages.",
	})
)
