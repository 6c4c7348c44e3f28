package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/audit"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/policy"
)

// TestCLILesson219EveryVerbHasAnAct: policies know every verb by what it is, whatever it is typed like.
func TestCLILesson219EveryVerbHasAnAct(t *testing.T) {
	t.Parallel()
	_, root := tree(newWorld(t))
	rows := map[string]int{}
	for _, a := range policy.Acts() {
		rows[a.Path]++
		if a.Resource == "" || a.Verb == "" {
			t.Errorf("%s is %q %q, want both", a.Path, a.Resource, a.Verb)
		}
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
			path := shell.PathOf(sub)
			if sub.HasSubCommands() && sub.Annotations[shell.SelfKey] == "" {
				continue
			}
			want := 1
			if sub.Annotations[shell.CopyKey] != "" {
				want = 0
			}
			if rows[path] != want {
				t.Errorf("%s has %d rows in policy/verbs.go, want %d", path, rows[path], want)
			}
			delete(rows, path)
		}
	}
	walk(root)
	for path := range rows {
		t.Errorf("policy/verbs.go has a row for %s, which is no verb", path)
	}
}

// policed is a world with a policy of the user.
func policed(t *testing.T, text string) *clitest.World {
	t.Helper()
	w := withDaemon(t)
	if err := os.WriteFile(filepath.Join(w.Home.Config.Dir, "policy.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// noted lists decisions of the audit log with their verbs.
func noted(t *testing.T, w *clitest.World) string {
	t.Helper()
	l := audit.New(w.Home.Config.Audit(), w.System(nil, nil, nil).Now)
	all, err := l.List(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range all {
		lines = append(lines, fmt.Sprintf("%s %s %s %v", e.Resource, e.Verb, e.Decision, e.Yes))
	}
	return strings.Join(lines, "\n")
}

const denyKick = "rules:\n  - resource: peer\n    verb: kick\n    decision: deny\n    reason: never\n"

// TestCLILesson218DenyBeatsYes: neither --yes nor yolo lifts what a policy forbids, under either name of the verb.
func TestCLILesson218DenyBeatsYes(t *testing.T) {
	t.Parallel()
	w := policed(t, denyKick)
	for _, line := range []string{"kick bob", "kick bob --yes", "peer kick bob -y", "kick bob --approval-mode yolo", "kick bob --yes --approval-mode=write"} {
		r := w.Run(strings.Fields(line)...)
		if r.Exit != mesh.ExitPermission || !strings.Contains(r.Err, "peer kick is refused by") || !strings.Contains(r.Err, "never") || !strings.Contains(r.Err, "policy.yaml") {
			t.Errorf("%s: got exit %d and %q, want it refused with verb, reason and file", line, r.Exit, r.Err)
		}
	}
	if asked := w.Daemon.Recorded(); len(asked) != 0 {
		t.Errorf("got requests %q, want none", asked)
	}
	if got, want := noted(t, w), "peer kick deny false\npeer kick deny true\npeer kick deny true\npeer kick deny true\npeer kick deny true"; got != want {
		t.Errorf("got\n%s\nin the audit log, want\n%s", got, want)
	}
	if r := w.Run("peers"); r.Exit != mesh.ExitOK {
		t.Errorf("got exit %d and %q, want other verbs to work", r.Exit, r.Err)
	}
}

// TestCLILesson217AdminPolicy: the administrator's file counts whatever the user's says, and whatever a flag or variable
// names.
func TestCLILesson217AdminPolicy(t *testing.T) {
	t.Parallel()
	w := policed(t, "default: allow\n")
	w.Admin = filepath.Join(w.Root, "admin-policy.yaml")
	other := filepath.Join(w.Root, "other.yaml")
	for path, text := range map[string]string{w.Admin: denyKick, other: "default: allow\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.Env["CLAUDEMESH_POLICY"], w.Env["CLAUDEMESH_CONFIG_DIR"] = other, w.Root
	if r := w.Run("kick", "bob", "--yes", "--policy", other); r.Exit != mesh.ExitPermission || !strings.Contains(r.Err, "admin-policy.yaml") {
		t.Errorf("got exit %d and %q, want the administrator's word to stand", r.Exit, r.Err)
	}
}

// TestPolicyOfAnotherFolder: a variable that names another folder does not make the user's own policy void (design E4).
func TestPolicyOfAnotherFolder(t *testing.T) {
	t.Parallel()
	w := policed(t, denyKick)
	w.Env["CLAUDEMESH_CONFIG_DIR"] = t.TempDir()
	if r := w.Run("kick", "bob", "--yes"); r.Exit != mesh.ExitPermission {
		t.Errorf("got exit %d and %q, want it refused", r.Exit, r.Err)
	}
}

// TestApprovalMode: plan and read-only refuse what writes, also where only a flag makes a verb one that does.
func TestApprovalMode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line, env string
		inside    bool
		exit      mesh.Exit
	}{
		{"send backend hi --approval-mode=read-only", "", false, mesh.ExitPermission},
		{"send backend hi --approval-mode plan", "", false, mesh.ExitPermission},
		{"send backend hi --approval-mode write", "", false, mesh.ExitOK},
		{"send backend hi", "plan", false, mesh.ExitPermission},
		{"send backend hi --approval-mode write", "plan", false, mesh.ExitOK},
		{"send backend hi --approval-mode write", "plan", true, mesh.ExitPermission},
		{"send backend hi --approval-mode plan", "write", true, mesh.ExitPermission},
		{"status set idle --approval-mode=read-only", "", false, mesh.ExitPermission},
		{"profile --approval-mode=read-only", "", false, mesh.ExitOK},
		{"profile --role-tag reviewer --approval-mode=read-only", "", false, mesh.ExitPermission},
		{"peers --approval-mode=read-only", "", false, mesh.ExitOK},
		{"inbox --approval-mode=plan", "", false, mesh.ExitOK},
		{"--approval-mode plan inbox flush --all --yes", "", false, mesh.ExitPermission},
		{"version --approval-mode=plan", "", false, mesh.ExitOK},
		{"peers --approval-mode=readonly", "", false, mesh.ExitUsage},
		{"peers", "readonly", false, mesh.ExitUsage},
	} {
		w := withDaemon(t)
		w.Env["CLAUDEMESH_APPROVAL_MODE"] = tt.env
		if tt.inside {
			w.Env["CLAUDECODE"] = "1"
		}
		if r := w.Run(strings.Fields(tt.line)...); r.Exit != tt.exit {
			t.Errorf("%s (%s): got exit %d and %q, want %d", tt.line, tt.env, r.Exit, r.Err, tt.exit)
		}
	}
}

// TestPolicyPrompt: where nobody can answer, only --yes does; a variable is no yes.
func TestPolicyPrompt(t *testing.T) {
	t.Parallel()
	w := policed(t, "rules:\n  - resource: grant\n    decision: prompt\n    reason: think\n")
	w.Env["CLAUDEMESH_APPROVAL_MODE"] = "yolo"
	if r := w.Run("block", "bob"); r.Exit != mesh.ExitPermission || !strings.Contains(r.Err, "add --yes") || !strings.Contains(r.Err, "a variable only tightens") {
		t.Errorf("got exit %d and %q, want it refused, and the variable passed over", r.Exit, r.Err)
	}
	for _, args := range [][]string{{"block", "bob", "--yes"}, {"block", "bob", "--approval-mode=yolo"}} {
		if r := w.Run(args...); r.Exit != mesh.ExitOK {
			t.Errorf("%q: got exit %d and %q, want it done", args, r.Exit, r.Err)
		}
	}
	const want = "grant block prompt false\ngrant block cancelled-at-prompt false\ngrant block prompt true\ngrant block prompt true"
	if got := noted(t, w); got != want {
		t.Errorf("got\n%s\nin the audit log, want\n%s", got, want)
	}
}

// TestPolicyThatCannotBeRead lets no verb run that it might forbid.
func TestPolicyThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := policed(t, "rulez:\n")
	if r := w.Run("peers"); r.Exit != mesh.ExitIO || !strings.Contains(r.Err, "policy.yaml: line 1") {
		t.Errorf("got exit %d and %q, want the file and its line named", r.Exit, r.Err)
	}
	if r := w.Run("daemon", "status"); r.Exit != mesh.ExitOK {
		t.Errorf("got exit %d and %q, want the machinery to work", r.Exit, r.Err)
	}
	plain := withDaemon(t)
	if r := plain.Run("peers", "--policy", filepath.Join(w.Root, "none.yaml")); r.Exit != mesh.ExitIO {
		t.Errorf("got exit %d and %q, want a file that is named to be there", r.Exit, r.Err)
	}
}

// TestNoPolicyWritesNothing: without a policy verbs leave nothing behind (cli-lessons 2, row 45).
func TestNoPolicyWritesNothing(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	for _, line := range []string{"kick bob --yes", "send backend hi", "peers"} {
		w.Run(strings.Fields(line)...)
	}
	entries, err := os.ReadDir(w.Home.Config.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(entries, func(e os.DirEntry) bool {
		return strings.Contains(e.Name(), "policy") || strings.Contains(e.Name(), "audit")
	}); i >= 0 {
		t.Errorf("got the file %s, want none", entries[i].Name())
	}
}
