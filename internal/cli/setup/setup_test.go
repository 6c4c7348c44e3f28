package setup_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

// with makes a terminal outside every session, with files in the home, and changes it further.
func with(t *testing.T, files map[string]string, change ...func(*clitest.World)) func(*clitest.World) {
	return func(w *clitest.World) {
		for _, c := range change {
			c(w)
		}
		for path, text := range files {
			path = filepath.Join(w.Root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	two := map[string]string{".claude.json": "{}", ".cursor/mcp.json": `{"mcpServers":{"claudemesh":{"command":"old","args":[]}}}`}
	clitest.Verbs(t, cli.Run, "install", []clitest.Line{
		{Args: "install", Given: with(t, nil)},
		{Args: "install", Given: with(t, two)},
		{Args: "install --dry-run", Given: with(t, two)},
		{Args: "install --json", Given: with(t, two)},
		{Args: "install --client codex,vscode", Given: with(t, nil)},
		{Args: "install --client emacs", Given: with(t, nil)},
		{Args: "install", Given: with(t, map[string]string{".claude.json": "{"})},
		{Args: "install", Given: func(w *clitest.World) { w.Env["CLAUDECODE"] = "1" }},
		{Args: "install", Given: clitest.Inside(t)},
		{Args: "uninstall", Given: with(t, nil)},
		{Args: "uninstall --dry-run", Given: with(t, two)},
		{Args: "uninstall", Given: with(t, two)},
		{Args: "uninstall --client claude --json", Given: with(t, two)},
		{Args: "uninstall everything"},
		{Args: "install --client cursor --no-service", Given: with(t, two)},
		{Args: "install --client claude --no-skill --no-hooks --no-service --status-line", Given: with(t, two)},
		{Args: "install --client claude --no-skill --no-hooks --no-service --status-line", Given: with(t, map[string]string{".claude/settings.json": `{"statusLine":{"type":"command","command":"mine"}}`})},
		{Args: "install --client cursor", Given: with(t, two, func(w *clitest.World) { w.Unmanageable = true })},
		{Args: "install --client cursor --json", Given: with(t, two, func(w *clitest.World) { w.Env["CI"] = "true" })},
		{Args: "install --client cursor", Given: with(t, two, func(w *clitest.World) { w.Unstartable = true })},
		{Args: "uninstall --no-service", Given: with(t, nil)},
	})
}

// TestServiceComesAndGoes: install has the system start the daemon once, and uninstall no longer; with --client the service is
// left to the other programs.
func TestServiceComesAndGoes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the commands of this test are systemd's")
	}
	w := clitest.WithDaemon(t, cli.Run)
	with(t, map[string]string{".cursor/mcp.json": "{}"})(w)
	unit := filepath.Join(w.Root, ".config", "systemd", "user", "claudemesh-daemon.service")
	for _, step := range []struct {
		args, says string
		there      bool
		told       int // how often the manager was
	}{
		{"install --dry-run", "service would be added (" + unit + ")", false, 1},
		{"install", "service: added (" + unit + ")", true, 3},
		{"install", "service: unchanged", true, 0},
		{"uninstall --client cursor", "Cursor: mcp server removed", true, 0},
		{"uninstall --dry-run", "service would be removed", true, 0},
		{"uninstall", "service: removed (" + unit + ")", false, 1},
		{"uninstall", "nothing of claudemesh", false, 0},
	} {
		r := w.Run(strings.Fields(step.args)...)
		_, err := os.Stat(unit)
		if r.Exit != mesh.ExitOK || !strings.Contains(r.Out, step.says) || (err == nil) != step.there || len(w.Used) != step.told {
			t.Errorf("%s: got exit %d, %q, the unit %v, and %q told, want %q", step.args, r.Exit, r.Out+r.Err, err == nil, w.Used, step.says)
		}
		w.Used = nil
	}
}

// TestPurge: what nothing brings back is not removed where it is another folder than ours, or in use, or nobody said yes.
func TestPurge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args, says string
		exit       mesh.Exit
		given      func(w *clitest.World)
	}{
		{"uninstall --purge --client cursor --yes", "leave out --client", mesh.ExitUsage, func(*clitest.World) {}},
		{"uninstall --purge --no-service --yes", "leave out --client and --no-service", mesh.ExitUsage, func(*clitest.World) {}},
		{"uninstall --purge --yes", "a variable names", mesh.ExitUsage, func(w *clitest.World) { w.Env["CLAUDEMESH_CONFIG_DIR"] = t.TempDir() }},
		{"uninstall --purge --yes", "is none", mesh.ExitUsage, func(w *clitest.World) {
			if err := os.Rename(w.Home.Root, w.Home.Root+"-there"); err != nil {
				t.Error(err)
			}
			if err := os.Symlink(w.Home.Root+"-there", w.Home.Root); err != nil {
				t.Error(err)
			}
		}},
		{"uninstall --purge --yes", "outside the session", mesh.ExitPermission, func(w *clitest.World) { w.Env["CLAUDECODE"] = "1" }},
		{"uninstall --purge --yes", "end api", mesh.ExitExists, func(*clitest.World) {}},
		{"uninstall --purge", "add --yes", mesh.ExitUsage, func(w *clitest.World) { w.Daemon.Answers[localapi.Sessions.Route] = localapi.SessionsAnswer{} }},
		{"uninstall --purge --dry-run", "would be removed (", mesh.ExitOK, func(*clitest.World) {}},
	} {
		w := clitest.WithDaemon(t, cli.Run)
		with(t, map[string]string{".claudemesh/config.json": "{}"})(w)
		tc.given(w)
		r := w.Run(strings.Fields(tc.args)...)
		_, err := os.Stat(w.Home.Config.File())
		if r.Exit != tc.exit || !strings.Contains(r.Out+r.Err, tc.says) || err != nil {
			t.Errorf("%s: got exit %d, %q and %v, want %d, %q and the folder there", tc.args, r.Exit, r.Out+r.Err, err, tc.exit, tc.says)
		}
	}
}
