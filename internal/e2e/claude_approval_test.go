//go:build unix

package e2e

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// approvalRow is what is compared of an element of `approvals list`.
type approvalRow struct {
	ID, Session, Device, Tool string
	Input                     struct{ Command string }
}

// waits gives the one question about a command, once it is there.
func (h *home) waits(command string) approvalRow {
	h.t.Helper()
	var found approvalRow
	h.eventually("is asked about "+command, func() bool {
		var rows []approvalRow
		h.ask(&rows, "approvals", "list")
		for _, r := range rows {
			if r.Input.Command == command {
				found = r
			}
		}
		return found.ID != ""
	})
	return found
}

// says gives the session a prompt.
func (c *claude) says(t *testing.T, prompt string) {
	t.Helper()
	if _, err := io.WriteString(c.in, `{"type":"user","message":{"role":"user","content":"`+prompt+`"}}`+"\n"); err != nil {
		t.Fatal(err)
	}
}

// relays switches the relay on, before the daemon is started.
func (h *home) relays(t *testing.T) {
	t.Helper()
	write(t, filepath.Join(mkdir(t, h.paths.Config.Dir), "settings.json"), `{"approval_relay":true}`)
}

// asker is a model that uses the shell once for each file that a prompt names.
func asker(t *testing.T, dir string, names ...string) (m *model, command func(name string) string) {
	command = func(name string) string { return "touch " + filepath.Join(dir, name) }
	var done sync.Map
	return newModel(t, func(request string) string {
		for _, name := range names {
			if strings.Contains(request, "make "+name) && strings.Contains(request, `"name":"Bash"`) {
				if _, again := done.LoadOrStore(name, true); !again {
					return command(name)
				}
			}
		}
		return ""
	}), command
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// TestClaudeCodeIsAnsweredElsewhere: what the real Claude Code has to ask for is allowed on another device of its user, and
// denied in another terminal; no session allows it, and each answer counts once.
func TestClaudeCodeIsAnsweredElsewhere(t *testing.T) {
	t.Parallel()
	findClaude(t)
	w := newWorld(t)
	desk, laptop := w.home("desk"), w.home("laptop")
	laptop.relays(t)
	desk.must("up")
	laptop.must("join", desk.link())
	desk.eventually("sees the laptop", func() bool { return desk.run("trust", "accept", laptop.address(), "--device").exit == 0 })
	laptop.eventually("sees the desk", func() bool { return laptop.run("trust", "accept", desk.address(), "--device").exit == 0 })
	dir := t.TempDir()
	m, command := asker(t, dir, "first", "second")
	c := laptop.openClaude(t, m, "--permission-mode", "default")
	desk.seesSession("claudemesh-session")

	c.says(t, "make first")
	q := desk.waits(command("first"))
	if q.Tool != "Bash" || !strings.Contains(q.Device, "laptop") || q.Session == "" {
		t.Errorf("the desk is asked %+v, want device, session and tool", q)
	}
	if exists(filepath.Join(dir, "first")) {
		t.Error("the tool ran before it was allowed")
	}
	if line := desk.must("status-line"); !strings.Contains(line, "1 to approve") {
		t.Errorf("the status line of the desk is %q", line)
	}
	desk.must("approvals", "allow", q.ID[:8], "--yes")
	laptop.eventually("the tool runs", func() bool { return exists(filepath.Join(dir, "first")) })
	desk.exits(6, "approvals", "allow", q.ID, "--yes")

	c.says(t, "make second")
	q = laptop.waits(command("second"))
	desk.waits(command("second"))
	laptop.must("approvals", "deny", q.ID[:8])
	laptop.eventually("the model hears that it was denied", func() bool { return m.seen("The user denied this from elsewhere") > 0 })
	desk.eventually("the question is over there, too", func() bool { return strings.TrimSpace(desk.must("approvals", "list", "--json")) == "[]" })
	if exists(filepath.Join(dir, "second")) {
		t.Error("the tool ran though it was denied")
	}
	log := laptop.must("audit", "list")
	if strings.Count(log, "approval allow  allow") != 1 || strings.Count(log, "approval deny  deny") != 1 {
		t.Errorf("the audit log has\n%s\nwant one permission and one refusal", log)
	}
	laptop.must("audit", "verify")
	if log := desk.must("audit", "list"); strings.Count(log, "approval allow  allow") != 1 {
		t.Errorf("the audit log of the desk has\n%s\nwant the permission that was given there", log)
	}
}

// TestClaudeCodeAsksNobodyElsewhere: without the setting nothing is relayed, and the host does what it does by itself.
func TestClaudeCodeAsksNobodyElsewhere(t *testing.T) {
	t.Parallel()
	findClaude(t)
	w := newWorld(t)
	h := w.home("anna")
	h.must("up")
	dir := t.TempDir()
	m, _ := asker(t, dir, "first")
	c := h.openClaude(t, m, "--permission-mode", "default")
	c.says(t, "make first")
	h.eventually("the host refuses, as nobody is there to ask", func() bool { return m.seen("tool_result") > 0 })
	if exists(filepath.Join(dir, "first")) || !strings.Contains(h.must("audit", "list"), "nothing was asked") {
		t.Error("something was asked, or done")
	}
}
