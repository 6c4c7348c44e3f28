package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// findInspector gives the command of the MCP inspector, which `make deps` fetches (internal/e2e/inspector).
func findInspector(t *testing.T) []string {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("..", "..", ".cache", "inspector", "node_modules", "@modelcontextprotocol", "inspector-cli", "build", "cli.js"))
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if _, missing := os.Stat(script); missing != nil || err != nil {
		const loud = "\n*** The MCP inspector is not in .cache/inspector, or there is no node: its test is skipped. Run make deps. ***\n\n"
		fmt.Fprint(os.Stderr, loud)
		t.Skip(loud)
	}
	return []string{node, script}
}

// inspect makes one call of the inspector to an MCP server of a home.
func (h *home) inspect(t *testing.T, v any, words ...string) {
	t.Helper()
	line := slices.Concat(findInspector(t), []string{"--cli", h.command(t.Context()).Path, "mcp", "--tools"}, words)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env, cmd.Dir = h.env, h.dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("inspector %q: %v\n%s", words, err, out)
	}
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatalf("inspector %q: %v\n%s", words, err, out)
	}
}

// calledTool is what the inspector prints of a call.
type calledTool struct {
	Content []struct{ Text string }
	IsError bool
}

func (c calledTool) text() string {
	if len(c.Content) == 0 {
		return ""
	}
	return c.Content[0].Text
}

// TestInspector has the MCP inspector ask a server for all that it offers: tools, prompts and resources.
func TestInspector(t *testing.T) {
	t.Parallel()
	findInspector(t)
	w := newWorld(t)
	anna, ben := w.pair()
	path := filepath.Join(anna.dir, "SKILL.md")
	write(t, path, "---\nname: deploy\ndescription: How we deploy\n---\nRun the tests.\n")
	anna.must("skill", "publish", path)
	var prompts struct {
		Prompts []struct{ Name, Description string }
	}
	ben.inspect(t, &prompts, "--method", "prompts/list")
	if len(prompts.Prompts) != 0 {
		t.Errorf("before a yes: %+v", prompts)
	}
	ben.must("skill", "accept", "deploy", "--yes")

	ben.inspect(t, &prompts, "--method", "prompts/list")
	if len(prompts.Prompts) != 1 || prompts.Prompts[0].Name != "deploy" {
		t.Errorf("prompts %+v", prompts)
	}
	var got json.RawMessage
	ben.inspect(t, &got, "--method", "prompts/get", "--prompt-name", "deploy")
	if !strings.Contains(string(got), "Run the tests.") {
		t.Errorf("the prompt is %s", got)
	}
	var resources struct{ Resources []struct{ URI string } }
	ben.inspect(t, &resources, "--method", "resources/list")
	if len(resources.Resources) != 1 || resources.Resources[0].URI != "skill://claudemesh/deploy" {
		t.Errorf("resources %+v", resources)
	}
	ben.inspect(t, &got, "--method", "resources/read", "--uri", "skill://claudemesh/deploy")
	if !strings.Contains(string(got), "Run the tests.") {
		t.Errorf("the resource is %s", got)
	}
	var tools struct{ Tools []struct{ Name string } }
	ben.inspect(t, &tools, "--method", "tools/list")
	var names []string
	for _, tool := range tools.Tools {
		names = append(names, tool.Name)
	}
	if want := []string{"send_message", "list_peers", "check_messages", "message_status"}; !slices.Equal(names, want) {
		t.Errorf("tools %v, want %v", names, want)
	}
}

// TestInspectorUsesTools has the inspector write and read as a session.
func TestInspectorUsesTools(t *testing.T) {
	t.Parallel()
	findInspector(t)
	w := newWorld(t)
	anna, ben := w.pair()
	var called calledTool
	ben.inspect(t, &called, "--method", "tools/call", "--tool-name", "send_message", "--tool-arg", "to="+anna.address(), "message=from a tool", "client_message_id=tool-message-1")
	if called.IsError || !strings.HasPrefix(called.text(), "queued for "+anna.address()) {
		t.Errorf("sent: %+v", called)
	}
	anna.eventually("has the message", func() bool { return slices.Contains(anna.texts(), "from a tool") })
	ben.eventually("is told", func() bool {
		ben.inspect(t, &called, "--method", "tools/call", "--tool-name", "message_status", "--tool-arg", "id=tool-message-1")
		return strings.HasPrefix(called.text(), string(mesh.StateDelivered))
	})
	ben.inspect(t, &called, "--method", "tools/call", "--tool-name", "send_message", "--tool-arg", "to=nobody-at-all", "message=x")
	if !called.IsError || !strings.HasPrefix(called.text(), string(mesh.TargetNotFound)) {
		t.Errorf("to nobody: %+v", called)
	}
	ben.inspect(t, &called, "--method", "tools/call", "--tool-name", "list_peers")
	if called.IsError || !strings.Contains(called.text(), anna.address()) {
		t.Errorf("peers: %+v", called)
	}
	ben.inspect(t, &called, "--method", "tools/call", "--tool-name", "check_messages")
	if called.IsError || called.text() == "" {
		t.Errorf("messages: %+v", called)
	}
}
