package localapi

import "github.com/claudemesh/claudemesh/internal/mesh"

// What a human may say of a message that is held (design E3).
const (
	ReviewOnce       = "once"       // this message is let through
	ReviewAlways     = "always"     // and its sender's key is accepted, as by trust accept
	ReviewUnattended = "unattended" // and its sender also reaches sessions that act alone, as by trust accept --unattended
	ReviewBlock      = "block"      // its sender is blocked, as by block; the message stays where it is
)

// Reviews lists them.
func Reviews() []string {
	return []string{ReviewOnce, ReviewAlways, ReviewUnattended, ReviewBlock}
}

// HeldRequest asks for what is held, behind a message.
type HeldRequest struct {
	After int64 `json:"after,omitzero" jsonschema:"seq"`
	Limit int   `json:"limit,omitzero" jsonschema:"1 to 1000, default 100"`
}

// HeldFrom is a session that is not shown a message.
type HeldFrom struct {
	SessionID   string `json:"session_id"`
	DisplayName string `json:"display_name"`
	Reason      string `json:"reason" jsonschema:"unattended, unproved, loop, paused, host_holds or host_refuses"`
}

// HeldMessage is a message and the sessions from which it is held. A human may read it.
type HeldMessage struct {
	Message InboxItem  `json:"message"`
	From    []HeldFrom `json:"held_from"`
}

// HeldAnswer lists them, oldest first.
type HeldAnswer struct {
	Held []HeldMessage `json:"held"`
}

// ReviewRequest is the human's word on a held message.
type ReviewRequest struct {
	ID       string `json:"id" jsonschema:"its id, client message id or broker id"`
	Decision string `json:"decision" jsonschema:"once, always, unattended or block"`
}

// ReviewAnswer says what became of it.
type ReviewAnswer struct {
	ID         string   `json:"id"`
	Mesh       string   `json:"mesh"`
	Decision   string   `json:"decision"`
	SenderName string   `json:"sender_name"`
	Pubkey     mesh.Key `json:"pubkey" jsonschema:"of the sender's member, which a word that lasts is about"`
	Released   bool     `json:"released" jsonschema:"sessions may be shown it, unless their host's own settings or a pause hold it"`
	BrokerTold bool     `json:"broker_told,omitzero" jsonschema:"of block: false while the broker does not know"`
}

// Held messages.
var (
	InboxHeld = Define[HeldRequest, HeldAnswer](Spec{
		Route: "GET /v1/inbox/held", Feature: "review", Scope: HumanOnly,
		Summary: "List unread messages that some session is not shown, with the reason.",
	})
	InboxReview = Define[ReviewRequest, ReviewAnswer](Spec{
		Route: "POST /v1/inbox/held/{id}", Feature: "review", Scope: HumanOnly, BodyLimit: 16 << 10,
		Summary: "Let a held message through, let its sender through from now on, or block its sender.",
	})
)
