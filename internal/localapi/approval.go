package localapi

import "github.com/claudemesh/claudemesh/internal/wire"

// ApprovalAskRequest is a question of a host session: may it use a tool?
type ApprovalAskRequest struct {
	Tool    string          `json:"tool" jsonschema:"as the host calls it, at most 200 bytes"`
	Input   wire.RawMessage `json:"input" jsonschema:"what the tool is to be given: the whole of it"`
	Channel bool            `json:"channel,omitzero" jsonschema:"the host asks by its channel: a hook may ask the same, which has the whole input"`
	Partial bool            `json:"partial,omitzero" jsonschema:"the host told a part of the input: the question can be denied, and allowed at the session alone"`
}

// ApprovalAskAnswer is how the question ended.
type ApprovalAskAnswer struct {
	Decision string `json:"decision" jsonschema:"allow, deny, or empty: nobody answered it elsewhere"`
	Reason   string `json:"reason,omitzero"`
}

// ApprovalsRequest lists questions that wait.
type ApprovalsRequest struct {
	Mesh string `json:"mesh,omitzero"`
}

// Approval is a question that waits.
type Approval struct {
	ID        string          `json:"id"`
	Mesh      string          `json:"mesh"`
	Session   string          `json:"session" jsonschema:"name of the session that asks"`
	Device    string          `json:"device,omitzero" jsonschema:"the device of this user on which it runs, where that is not this one"`
	Tool      string          `json:"tool"`
	Input     wire.RawMessage `json:"input" jsonschema:"the whole of what the tool is to be given"`
	InputSHA  string          `json:"input_sha256" jsonschema:"of the input in its canonical form (RFC 8785)"`
	Partial   bool            `json:"partial,omitzero" jsonschema:"a part of the input: it can be denied, and allowed at the session alone"`
	AskedAt   string          `json:"asked_at"`
	ExpiresAt string          `json:"expires_at"`
}

// ApprovalsAnswer lists questions, the oldest first.
type ApprovalsAnswer struct {
	Approvals []Approval `json:"approvals"`
	Relay     bool       `json:"relay" jsonschema:"the sessions of this machine are asked for: approval_relay is on"`
}

// ApprovalDecision answers one question.
type ApprovalDecision struct {
	ID       string `json:"id" jsonschema:"its id, or the first 4 or more characters of it"`
	InputSHA string `json:"input_sha256,omitzero" jsonschema:"of the input that was shown; an allow for another one is refused"`
}

// ApprovalDecided is a question that was answered.
type ApprovalDecided struct {
	Approval  Approval `json:"approval"`
	Decision  string   `json:"decision" jsonschema:"allow or deny"`
	Delivered bool     `json:"delivered" jsonschema:"the machine of the session has the answer, which counts; false: it is on its way"`
}

// ApprovalEvent tells that a session of another device of this user wants a permission.
type ApprovalEvent struct {
	TS      string `json:"ts"`
	ID      string `json:"id"`
	Mesh    string `json:"mesh"`
	Session string `json:"session"`
	Tool    string `json:"tool"`
}

// EventApproval is the kind of an ApprovalEvent; sessions do not see it.
const EventApproval = "approval"

// Permissions of host sessions.
var (
	ApprovalAsk = Define[ApprovalAskRequest, ApprovalAskAnswer](Spec{
		Route: "POST /v1/approvals", Feature: "approvals", Scope: Anyone,
		Summary: "Ask for a session whether it may use a tool, and wait for the answer, at most 5 minutes. Without the setting approval_relay nobody is asked.",
	})
	Approvals = Define[ApprovalsRequest, ApprovalsAnswer](Spec{
		Route: "GET /v1/approvals", Feature: "approvals", Scope: User,
		Summary: "List the questions that wait for an answer; a session sees its own.",
	})
	ApprovalAllow = Define[ApprovalDecision, ApprovalDecided](Spec{
		Route: "POST /v1/approvals/{id}/allow", Feature: "approvals", Scope: HumanOnly,
		Summary: "Allow what one question asks for, once.",
	})
	ApprovalDeny = Define[ApprovalDecision, ApprovalDecided](Spec{
		Route: "POST /v1/approvals/{id}/deny", Feature: "approvals", Scope: User,
		Summary: "Deny what one question asks for.",
	})
)

// ShortApproval is how much of an id people are shown.
func ShortApproval(id string) string { return id[:min(len(id), 8)] }
