package approval_test

import (
	"os"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestApprovals(t *testing.T) {
	t.Parallel()
	inside := func(w *clitest.World) { w.Env["CLAUDECODE"] = "1" }
	over := mesh.Errorf(mesh.ApprovalOver, "it was answered, or its time is over")
	away := clitest.ApprovalDecided()
	away.Delivered, away.Approval.Device = false, "anna@desk"
	clitest.Verbs(t, cli.Run, "approvals", []clitest.Line{
		{Args: "approvals list"},
		{Args: "approvals list --json=id,tool,input,partial"},
		{Args: "approvals list --mesh team", Given: clitest.Answer(localapi.Approvals.Route, localapi.ApprovalsAnswer{Approvals: []localapi.Approval{}})},
		{Args: "approvals allow 5e55 --yes"},
		{Args: "approvals allow 5e55 --yes --json"},
		{Args: "approvals allow 5e55 --yes", Given: clitest.Answer(localapi.ApprovalAllow.Route, away)},
		{Args: "approvals allow 5e55 --yes", Given: clitest.Answer(localapi.ApprovalAllow.Route, over)},
		{Args: "approvals allow 5e55"},
		{Args: "approvals allow 5e55 --yes", Given: inside},
		{Args: "approvals allow * --yes"},
		{Args: "approvals allow 5e5 --yes"},
		{Args: "approvals allow --yes"},
		{Args: "approvals allow 5e55 de57 --yes"},
		{Args: "approvals deny de57"},
		{Args: "approvals deny de57 --json"},
		{Args: "approvals deny de57", Given: inside},
		{Args: "approvals deny de57", Given: clitest.Answer(localapi.ApprovalDeny.Route, over)},
		{Args: "approvals"},
	})
}
