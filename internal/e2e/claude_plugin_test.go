//go:build unix

package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// runClaude runs a verb of Claude Code itself.
func (h *home) runClaude(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), verbTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, findClaude(t), args...)
	cmd.Dir, cmd.Env = dir, h.claudeEnv("http://127.0.0.1:1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("claude %q: %v\n%s", args, err, out)
	}
	return string(out)
}

var connected = regexp.MustCompile(`(?m)^(plugin:claudemesh:)?claudemesh: .* mcp - . Connected$`)

// The real Claude Code says that our server is connected: when install told it, and when it fetched the plugin from the
// marketplace of this repository. Both go again.
func TestClaudeCodeIsConnected(t *testing.T) {
	t.Parallel()
	findClaude(t)
	anna := newWorld(t).home("anna")
	dir := anna.settleClaude(t)
	list := func() string { return anna.runClaude(t, dir, "mcp", "list") }
	anna.must("install", "--client", "claude", "--no-service")
	if out := list(); len(connected.FindAllString(out, -1)) != 1 {
		t.Errorf("after install mcp list says %q, want it connected", out)
	}
	anna.must("uninstall", "--client", "claude")

	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	anna.runClaude(t, dir, "plugin", "validate", root)
	anna.runClaude(t, dir, "plugin", "marketplace", "add", root)
	anna.runClaude(t, dir, "plugin", "install", "claudemesh@claudemesh")
	if out := list(); len(connected.FindAllString(out, -1)) != 1 || !strings.Contains(out, "plugin:claudemesh:claudemesh") {
		t.Errorf("after the plugin was installed mcp list says %q, want it connected", out)
	}
	if r := anna.run("doctor"); !strings.Contains(r.out, "MCP server of the agents (Claude Code by its plugin)") {
		t.Errorf("doctor says %q, want it to know the plugin", r.out)
	}
	anna.runClaude(t, dir, "plugin", "uninstall", "claudemesh@claudemesh")
	if out := list(); strings.Contains(out, "claudemesh") {
		t.Errorf("after all was uninstalled: %s", out)
	}
}

// With the plugin alone a session of the real Claude Code is on the mesh: it is shown a message, and its hooks prove that.
func TestClaudeCodeWithThePlugin(t *testing.T) {
	t.Parallel()
	findClaude(t)
	anna := newWorld(t).home("anna")
	anna.must("up")
	dir := anna.settleClaude(t)
	plugin, err := filepath.Abs(filepath.Join("..", "..", "plugin"))
	if err != nil {
		t.Fatal(err)
	}
	anna.startClaude(t, newModel(t, func(string) string { return "" }), dir, "--plugin-dir", plugin)
	row := anna.seesSession("claudemesh-session")
	var sent sentView
	anna.ask(&sent, "send", string(row.Key), "by the plugin", "--self", "--wait")
	anna.eventually("the hook proves that it was shown", func() bool {
		return strings.Contains(anna.must("message", "status", string(sent.ClientID), "--json"), `"surfaced"`)
	})
}
