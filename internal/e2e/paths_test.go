//go:build unix

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// noInbox keeps a session's inbox from our MCP server, as with a host that has none.
var noInbox = map[string]string{"CLAUDE_CODE_MESSAGING_SOCKET": "/nonexistent"}

// giveServer has Claude Code start our MCP server with variables of its own.
func (h *home) giveServer(env map[string]string) {
	h.t.Helper()
	path := filepath.Join(h.dir, ".claude.json")
	data, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		h.t.Fatal(err)
	}
	all["mcpServers"].(map[string]any)["claudemesh"].(map[string]any)["env"] = env
	if data, err = json.Marshal(all); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// path gives what the daemon knows of a path into the one session of a home, and the path that is chosen.
func (h *home) path(name string) (found localapi.Path, chosen string) {
	h.t.Helper()
	client := local.New(h.paths.Daemon.Socket(), time.Now)
	defer func() { _ = client.Close() }() // its answer has been read
	answer, err := localapi.SessionPathsList.Do(context.Background(), client, localapi.None{})
	if err != nil || len(answer.Sessions) != 1 {
		h.t.Fatalf("paths: got %+v, %v, want one session", answer, err)
	}
	for _, p := range answer.Sessions[0].Paths {
		if p.Path == name {
			found = p
		}
	}
	return found, answer.Sessions[0].Chosen
}

// written counts the entries of the transcript that hold a text and are of a kind, which is a piece of JSON.
func (c *claude) written(t *testing.T, kind, text string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.h.dir, ".claude", "projects", "*", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			if line := lines.Text(); strings.Contains(line, kind) && strings.Contains(line, text) {
				n++
			}
		}
	}
	return n
}

// busy is a model that has its host run two commands: the first one says that it has begun and waits for the test.
func busy(t *testing.T) *model {
	t.Helper()
	return newModel(t, func(request string) string {
		switch {
		case !strings.Contains(request, "good morning") || strings.Contains(request, "toolu_2"):
			return ""
		case strings.Contains(request, "toolu_1"):
			return "true"
		}
		return "touch begun; until [ -e go ]; do sleep 0.05; done"
	})
}

// begun waits until the first command of a busy session runs.
func (c *claude) begun() {
	c.h.t.Helper()
	c.h.eventually("its command runs", func() bool { _, err := os.Stat(filepath.Join(c.cmd.Dir, "begun")); return err == nil })
}

// goOn ends the first command of a busy session.
func (c *claude) goOn(t *testing.T) {
	t.Helper()
	write(t, filepath.Join(c.cmd.Dir, "go"), "")
}

// between checks that the model was told something first behind the first tool call, and before the second.
func (c *claude) between(t *testing.T, text string) {
	t.Helper()
	request := c.model.first(text)
	if !strings.Contains(request, "toolu_1") || strings.Contains(request, "toolu_2") {
		t.Errorf("the message came to the model with the calls 1: %v, 2: %v, want it between the two",
			strings.Contains(request, "toolu_1"), strings.Contains(request, "toolu_2"))
	}
}

// A message reaches the real Claude Code while it works, between two tool calls and once, by its inbox socket.
func TestClaudeCodeAtWork(t *testing.T) {
	t.Parallel()
	findClaude(t)
	w := newWorld(t)
	anna, ben := w.pair()
	c := ben.openClaude(t, busy(t), "--allowedTools", "Bash")
	row := anna.seesSession("claudemesh-session")
	c.begun()
	anna.must("send", string(row.Key), "by the way", "--wait")
	ben.eventually("it is offered", func() bool { p, _ := ben.path("socket"); return p.Offered == 1 })
	if c.model.seen("by the way") != 0 {
		t.Error("the model was asked in the middle of a command")
	}
	c.goOn(t)
	ben.eventually("it is proved", func() bool { p, _ := ben.path("socket"); return p.State == "proved" && p.Surfaced == 1 })
	ben.eventually("the turn ends", func() bool { return c.model.seen("toolu_2") > 0 })
	c.between(t, "by the way")
	const entry = `"attachment":{"type":"queued_command"`
	ben.eventually("it is written down", func() bool { return c.written(t, entry, "by the way") > 0 })
	if n := c.written(t, entry, "by the way"); n != 1 {
		t.Errorf("the transcript has the message %d times, want once", n)
	}
}

// Where its inbox cannot be used, the hooks of the real Claude Code show it what comes: between two tool calls where it
// works, and where it rests they wake it. Each message once, and proved.
func TestClaudeCodeByItsHooks(t *testing.T) {
	t.Parallel()
	findClaude(t)
	w := newWorld(t)
	anna, ben := w.pair()
	m := busy(t)
	m.serverEnv = noInbox
	c := ben.openClaude(t, m, "--allowedTools", "Bash")
	row := anna.seesSession("claudemesh-session")
	c.begun()
	if p, chosen := ben.path("hook"); chosen != "hook" || p.State != "usable" {
		t.Errorf("got the path %s, hook is %+v, want it chosen", chosen, p)
	}
	anna.must("send", string(row.Key), "by the way", "--wait")
	c.goOn(t)
	ben.eventually("it is shown", func() bool { return c.model.seen("by the way") > 0 })
	c.between(t, "by the way")
	ben.eventually("it is proved", func() bool { p, _ := ben.path("hook"); return p.State == "proved" })
	anna.must("send", string(row.Key), "good night", "--wait")
	ben.eventually("it wakes", func() bool { return c.model.seen("good night") > 0 })
	var own sentView
	ben.ask(&own, "send", string(row.Key), "from my own terminal", "--self", "--wait")
	ben.eventually("the sender hears that it was shown", func() bool {
		return strings.Contains(ben.must("message", "status", string(own.ClientID), "--json"), `"surfaced"`)
	})
	const entry = `"attachment":{"type":"hook_additional_context"`
	for _, text := range []string{"by the way", "good night", "from my own terminal"} {
		ben.eventually("it is written down", func() bool { return c.written(t, entry, text) > 0 })
		if n := c.written(t, entry, text); n != 1 {
			t.Errorf("the transcript has %q %d times, want once", text, n)
		}
	}
}
