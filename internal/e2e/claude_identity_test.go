//go:build unix

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// claudes gives the sessions that a home sees in a mesh.
func (h *home) claudes(slug string) []peerRow {
	h.t.Helper()
	var rows []peerRow
	h.ask(&rows, "peers", "--mesh", slug)
	return slices.DeleteFunc(rows, func(p peerRow) bool { return p.Channel != "claudemesh-session" })
}

// seesClaude waits until a home sees one session in a mesh that is as it should be.
func (h *home) seesClaude(what string, ok func(peerRow) bool) peerRow {
	h.t.Helper()
	var seen []peerRow
	defer func() {
		if h.t.Failed() {
			h.t.Logf("it sees %+v", seen)
		}
	}()
	h.eventually("sees "+what, func() bool {
		seen = h.claudes("anna-mesh")
		return len(seen) == 1 && ok(seen[0])
	})
	return seen[0]
}

// running is what Claude Code notes of its session that runs in a home; nothing while none does.
func (h *home) running() (entry struct {
	PID       int    `json:"pid"`
	SessionID string `json:"sessionId"`
	Name      string `json:"name"`
}) {
	files, err := filepath.Glob(filepath.Join(h.dir, ".claude", "sessions", "*.json"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(data, &entry) != nil || syscall.Kill(entry.PID, 0) != nil {
			entry.PID, entry.SessionID = 0, ""
			continue
		}
		return entry
	}
	return entry
}

// inTwoMeshes joins a second mesh of somebody, tells Claude Code of us, and gives the folder of a project.
func (h *home) inTwoMeshes(t *testing.T, owner *home) (dir string) {
	t.Helper()
	owner.must("create", "second")
	var made struct{ URL string }
	owner.ask(&made, "share", "--mesh", "second")
	h.must("join", made.URL)
	dir = h.settleClaude(t)
	h.must("install", "--client", "claude", "--no-service")
	return dir
}

// seesTwin starts the conversation of a session in a second process, which is another peer as long as it runs.
func (h *home) seesTwin(first mesh.Key, twin *screen, command string) {
	h.t.Helper()
	twin.enter(command, "Enter")
	h.eventually("sees two peers while one conversation goes on in two processes", func() bool {
		got := h.claudes("anna-mesh")
		return len(got) == 2 && got[0].Key != got[1].Key && (got[0].Key == first || got[1].Key == first)
	})
	twin.shows("what now")
	twin.enter("/exit", "Enter")
	h.seesClaude("the same peer after its twin", func(p peerRow) bool { return p.Key == first })
}

// Who a session of the real Claude Code is: in every joined mesh, called as Claude Code calls it, the same after /clear and when
// that conversation is taken up again, another one after /branch or while its conversation goes on elsewhere, and gone within 5 s
// of its end.
func TestClaudeCodeIdentity(t *testing.T) {
	t.Parallel()
	path := findClaude(t)
	needTmux(t)
	anna, ben := newWorld(t).pair()
	dir := ben.inTwoMeshes(t, anna)
	m := newModel(t, func(string) string { return "" })
	s := ben.openScreen(t, 120, 40, dir, ben.claudeEnv(m.URL)...)
	same := func(key mesh.Key) func(peerRow) bool { return func(p peerRow) bool { return p.Key == key } }
	gone := func(how string) {
		t.Helper()
		ended := time.Now()
		anna.eventually("sees the session gone", func() bool { return len(anna.claudes("anna-mesh")) == 0 })
		if took := time.Since(ended); took > 5*time.Second {
			t.Errorf("%s: listed for %s, want at most 5s", how, took)
		}
	}
	ask := func(text string) {
		t.Helper()
		s.enter(text)
		s.shows(text)
		s.enter("", "Enter")
		s.until("the answer to "+text, func(all string) bool {
			_, behind, _ := strings.Cut(all, text)
			return strings.Contains(behind, "● ok") && strings.Contains(behind, "·")
		})
	}

	s.enter(path, "Enter")
	first := anna.seesClaude("the session", func(p peerRow) bool { return p.Name == ben.running().Name })
	anna.eventually("sees it in the second mesh, too, with a key of its own", func() bool {
		got := anna.claudes("second")
		return len(got) == 1 && got[0].Name == first.Name && got[0].Key != first.Key
	})
	ask("good morning")
	s.enter("/rename backend api", "Enter")
	anna.seesClaude("the new name", func(p peerRow) bool { return p.Key == first.Key && p.Name == "backend api" })
	before := ben.running().SessionID
	s.enter("/clear", "Enter")
	eventually(t, "the conversation has another id", func() bool { return ben.running().SessionID != before })
	cleared := ben.running().SessionID
	ask("what now")
	anna.seesClaude("the same peer after /clear", same(first.Key))
	exit := func() {
		t.Helper()
		s.enter("/exit", "Enter")
		s.until("the shell again", func(text string) bool { return strings.HasSuffix(strings.TrimRight(text, " \n"), "\n$") })
		gone("/exit")
	}
	exit()

	s.enter("clear; "+path+" --continue", "Enter")
	anna.seesClaude("the same peer with --continue", same(first.Key))
	if got := ben.running().SessionID; got != cleared {
		t.Fatalf("--continue took up %s, want %s", got, cleared)
	}
	s.shows("what now")
	anna.seesTwin(first.Key, ben.openScreen(t, 121, 40, dir, ben.claudeEnv(m.URL)...), path+" --resume "+cleared)
	s.enter("/branch", "Enter")
	anna.must("send", string(anna.seesClaude("another after /branch", func(p peerRow) bool { return p.Key != first.Key }).Key), "to the branch", "--wait")
	anna.eventually("the branch is shown what comes to it", func() bool { return m.seen("to the branch") > 0 })
	if err := syscall.Kill(ben.running().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone("kill -9")

	s.enter("stty sane; clear; "+path+" --resume "+cleared, "C-j") // the terminal is as a killed program leaves it
	anna.seesClaude("the same peer with --resume", func(p peerRow) bool { return p.Key == first.Key && p.Name == "backend api" })
	exit()
}
