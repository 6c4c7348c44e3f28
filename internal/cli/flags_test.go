package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// needed are the words that a verb takes, by its path.
var needed = map[string]string{
	"send": "backend hi", "message send": "backend hi", "message status": "5f0d2a44", "message redeliver": "letter-2", "message ack": "5f0d2a44", "message trace": "5f0d2a44", "msg-status": "5f0d2a44", "create": "Team", "join": "link",
	"rename": "team crew", "delete": "team", "member role": "ben admin --mesh other", "leave": "team", "share": "--mesh other", "invites list": "--mesh other", "invites revoke": "x --mesh other", "completions": "bash",
	"list": "--json", "url-handler open": "claudemesh://mesh.example.com/i/7dQm4xZt9BcA", "docs": "folder", "plugin": "/dev/null/folder", "group join": "@ops", "group leave": "@ops", "trust accept": "bob", "trust reject": "bob",
	"kick": "bob --yes --mesh other", "disconnect": "bob --mesh other", "ban": "bob --yes --mesh other", "unban": "bob --mesh other", "bans": "--mesh other",
	"peer kick": "bob --yes --mesh other", "peer disconnect": "bob --mesh other", "peer ban": "bob --yes --mesh other", "peer unban": "bob --mesh other", "peer bans": "--mesh other",
	"daemon outbox inspect": "5f0d2a44", "daemon outbox requeue": "5f0d2a44", "daemon outbox cancel": "5f0d2a44",
	"inbox flush": "--mesh other", "message inbox flush": "--mesh other", "inbox delete": "inbox-row-7", "message inbox delete": "inbox-row-7",
	"grant": "bob dm --mesh other", "revoke": "bob dm --mesh other", "mute": "bob --mesh other", "unmute": "bob --mesh other", "block": "bob --mesh other", "unblock": "bob --mesh other", "grants": "--mesh other",
	"approvals allow": "5e55 --yes", "approvals deny": "5e55",
	"broker restore": "old.db", "daemon restore": "mine.cmb",
	"skill get": "deploy --mesh other", "skill publish": "-", "skill remove": "deploy --yes --mesh other", "skill accept": "deploy --yes --mesh other", "skill reject": "deploy --mesh other",
	"status set": "dnd", "profile status set": "dnd", "summary": "x", "profile summary": "x", "visible": "no", "profile visible": "no",
}

// settled are flags with the words that they are tried with, and the words of the run that they are compared with, where
// they differ from what the flag's type and needed say.
var settled = map[string]struct{ with, without string }{
	"launch --name":                {"-y --name=api -- -p", "-y -- -p"},
	"launch --message-mode":        {"-y --message-mode=off -- -p", "-y -- -p"},
	"launch --mesh":                {"--mesh=team -- -p", "-y -- -p"},
	"launch --join":                {"-y --join=https://mesh.example/i/Code -- -p", "-y -- -p"},
	"launch --role":                {"-y --role=x -- -p", "-y -- -p"},
	"launch --groups":              {"-y --groups=ops -- -p", "-y -- -p"},
	"launch --system-prompt":       {"-y --system-prompt=x -- -p", "-y -- -p"},
	"launch --accept-from":         {"-y --accept-from=ben -- -p", "-y -- -p"},
	"launch --resume":              {"-y --resume=5f -- -p", "-y -- -p"},
	"launch --continue":            {"-y --continue -- -p", "-y -- -p"},
	"install --no-hooks":           {"--dry-run --client=claude --no-hooks", "--dry-run --client=claude"},
	"install --no-skill":           {"--dry-run --client=claude --no-skill", "--dry-run --client=claude"},
	"install --no-service":         {"--dry-run --client=claude --no-service", "--dry-run --client=claude"},
	"install --status-line":        {"--dry-run --client=claude --status-line", "--dry-run --client=claude"},
	"install --client":             {"--dry-run --client=codex", "--dry-run --client=cursor"},
	"uninstall --client":           {"--dry-run --json --client=codex", "--dry-run --json --client=cursor"},
	"send --to":                    {"--to=web hi", "backend hi"},
	"message send --to":            {"--to=web hi", "backend hi"},
	"send --wait":                  {"backend hi --wait=accepted", "backend hi"},
	"send --timeout":               {"backend hi --wait --timeout=7s", "backend hi --wait"},
	"send --priority":              {"backend hi --priority=low", "backend hi"},
	"message send --wait":          {"backend hi --wait=accepted", "backend hi"},
	"message send --timeout":       {"backend hi --wait --timeout=7s", "backend hi --wait"},
	"message send --priority":      {"backend hi --priority=low", "backend hi"},
	"rename --name":                {"team --name=Crew", "team crew"},
	"delete --everywhere":          {"team --yes --everywhere", "team --yes"},
	"member role --mesh":           {"ben admin --mesh team", "ben admin --mesh other"},
	"share --mesh":                 {"--mesh team", "--mesh other"},
	"share --role":                 {"--mesh other --role=admin", "--mesh other"},
	"share --expires":              {"--mesh other --expires=3d", "--mesh other"},
	"invites list --mesh":          {"--mesh team", "--mesh other"},
	"invites revoke --mesh":        {"x --mesh team", "x --mesh other"},
	"inbox flush --mesh":           {"--mesh team", "--mesh other"},
	"inbox flush --before":         {"--mesh other --before=2026-01-31T08:00:00Z", "--mesh other"},
	"inbox flush --all":            {"--all --yes", "--mesh other"},
	"message inbox flush --mesh":   {"--mesh team", "--mesh other"},
	"message inbox flush --before": {"--mesh other --before=2026-01-31T08:00:00Z", "--mesh other"},
	"message inbox flush --all":    {"--all --yes", "--mesh other"},
	"kick --stale":                 {"--yes --mesh other --stale=1m", "bob --yes --mesh other"},
	"kick --all":                   {"--yes --mesh other --all", "bob --yes --mesh other"},
	"kick --mesh":                  {"bob --yes --mesh team", "bob --yes --mesh other"},
	"peer kick --stale":            {"--yes --mesh other --stale=1m", "bob --yes --mesh other"},
	"peer kick --all":              {"--yes --mesh other --all", "bob --yes --mesh other"},
	"peer kick --mesh":             {"bob --yes --mesh team", "bob --yes --mesh other"},
	"disconnect --stale":           {"--mesh other --stale=1m", "bob --mesh other"},
	"disconnect --all":             {"--mesh other --all", "bob --mesh other"},
	"disconnect --mesh":            {"bob --mesh team", "bob --mesh other"},
	"peer disconnect --stale":      {"--mesh other --stale=1m", "bob --mesh other"},
	"peer disconnect --all":        {"--mesh other --all", "bob --mesh other"},
	"peer disconnect --mesh":       {"bob --mesh team", "bob --mesh other"},
	"create --token-file":          {"Team --token-file=-", "Team"},
	"list --mesh":                  {"--json --mesh=team", "--json"},
	"daemon up --mesh":             {"--foreground --mesh=team", "--foreground"},
	"daemon up --tcp":              {"--foreground --tcp", "--foreground"},
	"daemon up --no-tcp":           {"--foreground --no-tcp", "--foreground"},
	"profile --message-mode":       {"--message-mode=inbox", ""},
	"pause --list":                 {"--list", ""},
	"mute --list":                  {"--list", "ben"},
	"mute --mesh":                  {"bob --mesh team", "bob --mesh other"},
	"unmute --mesh":                {"bob --mesh team", "bob --mesh other"},
	"inbox review --limit":         {"--limit=3", ""},
	"install --dry-run":            {"--client codex --dry-run", "--client codex"},
	"skill get --mesh":             {"deploy --mesh team", "deploy --mesh other"},
	"skill remove --mesh":          {"deploy --yes --mesh team", "deploy --yes --mesh other"},
	"skill accept --mesh":          {"deploy --yes --mesh team", "deploy --yes --mesh other"},
	"skill reject --mesh":          {"deploy --mesh team", "deploy --mesh other"},
	"broker serve --data-dir":      {"--data-dir=/data", ""},
}

// elsewhere are flags whose effect is not a request.
var elsewhere = map[string]string{
	"daemon up --service-managed": "TestServiceManagedEndsWell", "daemon install-service --allow-ci-persistent": "TestInstallServiceIsRefused",
	"daemon logs --follow": "TestFollowLog", "daemon logs --lines": "TestDaemonLogs", "daemon logs --since": "TestDaemonLogs",
	"daemon up --tcp-public-health": "TestDaemon", "daemon up --public-health": "TestDaemon",
	"daemon backup --passphrase-file": "TestDaemonUpkeep", "daemon restore --passphrase-file": "TestDaemonUpkeep",
	"up --broker": "TestUp", "up --listen": "TestUpListen", "audit list --limit": "TestAudit", "share --copy": "TestCopyText",
	"uninstall --dry-run": "TestInstall", "uninstall --no-service": "TestServiceComesAndGoes", "uninstall --purge": "TestPurge", "doctor --fix": "TestWhatIsWrongIsFound", "upgrade --check": "TestUpgrade",
}

// TestEveryFlagReachesSomething runs each verb with and without each of its flags: what is asked of the daemon, given to
// a service or printed must differ (cli-lessons 2, rows 2 to 5).
func TestEveryFlagReachesSomething(t *testing.T) {
	t.Parallel()
	_, root := tree(newWorld(t))
	for path, leaf := range leaves(root) {
		leaf.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			same := strings.TrimPrefix(path, "workspace ") // the verbs of that noun are copies
			name := same + " --" + f.Name
			if elsewhere[name] != "" {
				return
			}
			t.Run(path+" --"+f.Name, func(t *testing.T) {
				t.Parallel()
				words, ok := settled[name]
				if !ok {
					words.without = needed[same]
					words.with = strings.TrimSpace(words.without + " " + example(f))
				}
				without, with := effect(t, path, words.without), effect(t, path, words.with)
				if with == without {
					t.Errorf("got the same from %q and %q, want the flag to matter:\n%s", words.with, words.without, with)
				}
				if strings.Contains(with, "--- exit 3") {
					t.Errorf("got %q refused:\n%s", words.with, with)
				}
			})
		})
	}
}

// example is a flag with a value of its type that is not its default.
func example(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "--" + f.Name
	case "int":
		return "--" + f.Name + "=3"
	case "duration", "time":
		return "--" + f.Name + "=7s"
	}
	return "--" + f.Name + "=value"
}

// effect is all that can be seen of a run but the command line.
func effect(t *testing.T, path, words string) string {
	t.Helper()
	w := withDaemon(t)
	w.Stdin = "secret"
	if path == "skill publish" {
		w.Stdin = "---\nname: deploy\n---\nx"
	}
	if strings.HasSuffix(path, "launch") { // with a program to start
		w.Env["CLAUDE_BIN"], _ = os.Executable()
	}
	_, text, _ := strings.Cut(w.Transcript(slices.Concat(strings.Fields(path), strings.Fields(words))...), "\n")
	return text
}

// TestCLILesson113PolicyFlags: scripts can forbid the daemon and insist on it, by a flag or a variable.
func TestCLILesson113PolicyFlags(t *testing.T) {
	t.Parallel()
	t.Run("no-daemon", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		if r := w.Run("--no-daemon", "list", "--json=slug"); r.Exit != mesh.ExitOK || !slices.Equal(w.Used, []string{"in process"}) {
			t.Errorf("got exit %d, %q and %q, want the work done in process", r.Exit, r.Err, w.Used)
		}
		w.Used, w.Env["CLAUDEMESH_NO_DAEMON"] = nil, "1"
		if r := w.Run("list"); r.Exit != mesh.ExitOK || len(w.Used) != 1 {
			t.Errorf("got exit %d and %q, want the variable to do the same", r.Exit, w.Used)
		}
		w.Used = nil
		if r := w.Run("list", "--strict"); r.Exit != mesh.ExitNetwork || len(w.Used) != 0 {
			t.Errorf("got exit %d and %q, want the flag to win over the variable", r.Exit, w.Used)
		}
		if r := w.Run("up"); r.Exit != mesh.ExitUsage {
			t.Errorf("got exit %d, want up refused", r.Exit)
		}
	})
	t.Run("strict", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		if r := w.Run("list", "--strict"); r.Exit != mesh.ExitNetwork || !strings.Contains(r.Err, "hint: run `claudemesh daemon up`") {
			t.Errorf("got exit %d and %q, want 4 and what to do", r.Exit, r.Err)
		}
		w.Env["CLAUDEMESH_STRICT_DAEMON"] = "1"
		if r := w.Run("list", "--json"); r.Exit != mesh.ExitNetwork || !strings.Contains(r.Out, `"code": "daemon_down"`) {
			t.Errorf("got exit %d and %q, want the variable to do the same", r.Exit, r.Out)
		}
		w.Used = nil
		if r := w.Run("list", "--no-daemon"); r.Exit != mesh.ExitOK {
			t.Errorf("got exit %d, want the flag to win over the variable", r.Exit)
		}
	})
}

// TestFlagsOfEveryVerb tries those that all verbs share.
func TestFlagsOfEveryVerb(t *testing.T) {
	t.Parallel()
	t.Run("verbose", func(t *testing.T) {
		t.Parallel()
		w := withDaemon(t)
		delete(w.Daemon.Answers, "GET /v1/meshes")
		w.Daemon.Answers["GET /v1/meshes"] = mesh.Errorf(mesh.Internal, "the disk is on fire")
		if r := w.Run("list"); r.Exit != mesh.ExitInternal || !strings.HasPrefix(r.Err, "claudemesh: internal error\nhint: ") {
			t.Errorf("got exit %d and %q, want 8 and no more than that", r.Exit, r.Err)
		}
	})
	t.Run("home", func(t *testing.T) {
		t.Parallel()
		w := withDaemon(t)
		delete(w.Env, "HOME")
		if r := w.Run("list"); r.Exit != mesh.ExitUsage || !strings.Contains(r.Err, "HOME is not set") {
			t.Errorf("got exit %d and %q, want the variable named", r.Exit, r.Err)
		}
		if r := w.Run("list", "--help"); r.Exit != mesh.ExitOK {
			t.Errorf("got exit %d, want help without a home", r.Exit)
		}
	})
	t.Run("socket path", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Env["CLAUDEMESH_DAEMON_DIR"] = filepath.Join(w.Root, strings.Repeat("x", 100))
		if r := w.Run("list"); r.Exit != mesh.ExitUsage || !strings.Contains(r.Err, "shorter folder") {
			t.Errorf("got exit %d and %q, want the path refused", r.Exit, r.Err)
		}
	})
}
