package setup_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

// with makes a terminal outside every session, with files in the home.
func with(t *testing.T, files map[string]string) func(*clitest.World) {
	return func(w *clitest.World) {
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
	})
}
