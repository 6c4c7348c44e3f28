package clitest

import (
	"strings"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Approvals is what sessions wait for: one here, and one on another device of which a part is known.
func Approvals() localapi.ApprovalsAnswer {
	here := localapi.Approval{
		ID: "5e551023" + strings.Repeat("0", 56), Mesh: "team", Session: "api", Tool: "Bash", Input: wire.RawMessage(`{"command":"make deploy","description":"Deploy"}`),
		InputSHA: strings.Repeat("ab", 32), AskedAt: "2026-03-04T11:58:00.000Z", ExpiresAt: "2026-03-04T12:03:00.000Z",
	}
	there := here
	there.ID, there.Session, there.Device, there.Tool, there.Partial = "de571023"+strings.Repeat("0", 56), "web", "anna@desk", "Write", true
	there.Input = wire.RawMessage(`{"input_preview":"` + strings.Repeat("long ", 100) + `"}`)
	return localapi.ApprovalsAnswer{Approvals: []localapi.Approval{here, there}, Relay: true}
}

// ApprovalDecided is the first of Approvals, allowed.
func ApprovalDecided() localapi.ApprovalDecided {
	return localapi.ApprovalDecided{Approval: Approvals().Approvals[0], Decision: "allow", Delivered: true}
}
