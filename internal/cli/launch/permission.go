package launch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// permissionRequest is the event of a session that wants a permission.
const permissionRequest = "PermissionRequest"

// permissionTime is a little more than a question lives: the daemon says when it is over.
const permissionTime = seal.ApprovalLimit + 10*time.Second

// sum is the SHA-256 of what a tool was given, in hex; empty for what is no JSON.
func (in hookInput) sum() string {
	canonical, err := seal.Canonical(in.Input)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// permissionOutput is what Claude Code takes as an answer (host 5). It never changes a rule: the next time it asks again.
type permissionOutput struct {
	Specific struct {
		Event    string `json:"hookEventName"`
		Decision struct {
			Behavior string `json:"behavior"`
			Message  string `json:"message,omitzero"`
		} `json:"decision"`
	} `json:"hookSpecificOutput"`
}

// permission waits for the answer of the user, who may be at another device, and gives it to the host. Where nobody answers
// it says nothing: the host asks at the session, as it does meanwhile.
func permission(ctx context.Context, a *shell.App, in hookInput) (heard bool) {
	answer, err := shell.Ask(ctx, a, localapi.ApprovalAsk, permissionTime, localapi.ApprovalAskRequest{Tool: in.Tool, Input: in.Input})
	if err != nil || answer.Decision == "" || a.Flags.JSON.On {
		return err == nil
	}
	var out permissionOutput
	out.Specific.Event, out.Specific.Decision.Behavior = permissionRequest, answer.Decision
	if answer.Decision == seal.ApprovalDeny {
		out.Specific.Decision.Message = "The user denied this from elsewhere."
	}
	if text, err := wire.Encode(out); err == nil {
		_, _ = a.Sys.Stdout.Write(append(text, '\n')) // a host that does not read it asks at the session
	}
	return true
}
