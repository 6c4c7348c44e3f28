package guard_test

import (
	"os"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/audit"
	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

// logged puts two entries into the log, and changes what stands in it.
func logged(t *testing.T, change func(text string) string) func(w *clitest.World) {
	return func(w *clitest.World) {
		l := audit.New(w.Home.Config.Audit(), w.System(nil, nil, nil).Now)
		for _, e := range []audit.Entry{
			{Event: audit.Policy, Resource: "peer", Verb: "kick", Mode: "read-only", IsWrite: true, Decision: audit.Denied, Reason: "the mode is read-only"},
			{Event: audit.Approval, Resource: "approval", Verb: "allow", Mesh: "team", Session: "5f", Tool: "Bash", Decision: audit.Allowed, By: clitest.Key("anna")},
		} {
			if err := l.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(w.Home.Config.Audit())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(w.Home.Config.Audit(), []byte(change(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	same := logged(t, func(text string) string { return text })
	changed := logged(t, func(text string) string { return strings.Replace(text, `"deny"`, `"allow"`, 1) })
	clitest.Verbs(t, cli.Run, "audit", []clitest.Line{
		{Args: "audit list"},
		{Args: "audit list", Given: same},
		{Args: "audit list --json --limit 1", Given: same},
		{Args: "audit list --limit 0"},
		{Args: "audit verify"},
		{Args: "audit verify", Given: same},
		{Args: "audit verify --json=ok,entries,last", Given: same},
		{Args: "audit verify", Given: changed},
		{Args: "audit verify --json", Given: changed},
		{Args: "audit"},
	})
}

// ruled writes a policy of the user.
func ruled(text string) func(w *clitest.World) {
	return func(w *clitest.World) {
		if err := os.WriteFile(w.Home.Policies()[0], []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	rules := ruled("default: prompt\nrules:\n  - resource: peer\n    verb: [kick, ban]\n    decision: deny\n    reason: never\n" +
		"  - resource: peers\n    decision: alow\n    mesh: team\n")
	inside := func(w *clitest.World) { w.Env["CLAUDECODE"] = "1" }
	clitest.Verbs(t, cli.Run, "policy", []clitest.Line{
		{Args: "policy show"},
		{Args: "policy show --approval-mode read-only", Given: rules},
		{Args: "policy show --json", Given: rules},
		{Args: "policy show", Given: ruled("nonsense")},
		{Args: "policy init"},
		{Args: "policy init --json"},
		{Args: "policy init", Given: rules},
		{Args: "policy init", Given: inside},
		{Args: "policy"},
	})
}
