//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// hostileTexts are those of package host, each with a sign behind it by which it is found again.
func hostileTexts(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "host", "testdata", "hostile.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ Name, Text string }
	if err := json.Unmarshal(data, &all); err != nil || len(all) < 60 {
		t.Fatalf("%d texts, %v; want at least 60", len(all), err)
	}
	texts := make([]string, 0, len(all))
	for i, h := range all {
		texts = append(texts, fmt.Sprintf("%s\nsign-%03d.", h.Text, i))
	}
	return texts
}

// prompts are the texts that others than the model have in a request to it, which was to have nothing run but these commands.
func prompts(t *testing.T, request string, commands ...string) []string {
	t.Helper()
	var body struct {
		Messages []struct {
			Role    string
			Content json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(request), &body); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range body.Messages {
		var text string
		if json.Unmarshal(m.Content, &text) == nil {
			all = append(all, text)
			continue
		}
		var blocks []struct {
			Type, Text string
			Input      struct{ Command string }
		}
		if err := json.Unmarshal(m.Content, &blocks); err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			switch {
			case b.Type == "text":
				all = append(all, b.Text)
			case b.Type == "tool_use" && slices.Contains(commands, b.Input.Command), b.Type == "tool_result" && len(commands) > 0:
			default:
				t.Errorf("a request has a block of kind %s: something was run", b.Type)
			}
		}
	}
	return all
}

// outOfFrame finds an element that a text was to bring in.
var outOfFrame = regexp.MustCompile(`(?i)<\s*/?\s*(cross-session|channel|system|user|human|assistant|task-|local-command|command-|bash-|function_|invoke|parameter|tool_)`)

// What the real Claude Code asks its model has every hostile text of a peer in its frame, as it was written or with its signs
// of markup taken away: none is a command of the host, none has a file read, none runs anything.
func TestClaudeCodeKeepsHostileTextsInTheirFrames(t *testing.T) {
	t.Parallel()
	findClaude(t)
	const share = host.InboxBurst + 4 // some come when the host takes more
	texts := hostileTexts(t)
	for from := 0; from < len(texts); from += share {
		t.Run(fmt.Sprint(from), func(t *testing.T) { keepsInFrames(t, texts[from:min(from+share, len(texts))], from) })
	}
}

// keepsInFrames sends texts to a session of the host; number is that of the first.
func keepsInFrames(t *testing.T, texts []string, number int) {
	w := newWorld(t)
	anna, ben := w.pair()
	ben.takesAll(t)
	c := ben.openClaude(t, newModel(t, func(string) string { return "" }), "--allowedTools", "Bash")
	row := anna.seesSession("claudemesh-session")
	anna.sendAll(t, row, texts)
	last := fmt.Sprintf("sign-%03d.", number+len(texts)-1)
	eventually(t, "the model is asked about all of them", func() bool { return c.model.seen(last) > 0 })
	c.wantFrames(t, prompts(t, c.model.last(last)), texts, number)
}

// takesAll has a home show its sessions whatever comes, however fast.
func (h *home) takesAll(t *testing.T) {
	h.must("daemon", "down")
	mkdir(t, filepath.Dir(h.paths.Config.Settings()))
	write(t, h.paths.Config.Settings(), `{"wake_minute": 0, "wake_hour": 0, "wake_hour_tokens": 0, "wake_session_hour": 0, "wake_alternating": 0, "offered_limit": 1000}`)
}

// sendAll sends texts to a session.
func (h *home) sendAll(t *testing.T, row peerRow, texts []string) {
	t.Helper()
	client := local.New(h.paths.Daemon.Socket(), time.Now)
	defer func() { _ = client.Close() }() // its answers were read
	for i, text := range texts {
		ctx, cancel := context.WithTimeout(t.Context(), verbTime)
		_, err := localapi.Send.Do(ctx, client, localapi.SendRequest{To: string(row.Key), Message: text, ClientMessageID: fmt.Sprintf("hostile-%d", i)})
		cancel()
		if err != nil {
			t.Fatalf("send %q: %v", text, err)
		}
	}
}

// wantFrames wants each text in the frame of a message in what the model was asked, and that nothing was read or run.
// Long ones may be cut.
func (c *claude) wantFrames(t *testing.T, prompts, texts []string, number int) {
	t.Helper()
	frames := map[string]string{}
	for _, prompt := range prompts {
		for _, part := range strings.Split(prompt, "<cross-session-message ")[1:] {
			inside, after, _ := strings.Cut(part, "</cross-session-message>")
			head, body, _ := strings.Cut(inside, ">\n")
			if sign := regexp.MustCompile(`sign-\d{3}\.|\[cut here`).FindString(body); sign != "" {
				frames[sign] = body
			}
			if strings.Contains(after, "sign-") || strings.Contains(head, "sign-") || !strings.Contains(head, `attempt="`) {
				t.Errorf("a text has left its frame: head %q, behind it %q", head, after)
			}
			if found := outOfFrame.FindString(body); found != "" {
				t.Errorf("a text brings %q into the request: %q", found, body)
			}
		}
	}
	for i, text := range texts {
		if sign := fmt.Sprintf("sign-%03d.", number+i); frames[sign] == "" && len(text) < 16<<10 {
			t.Errorf("%q is in no frame of the request", text)
		}
	}
	for _, secret := range []string{"root:x:0:0", "customApiKeyResponses", apiKey[len(apiKey)-20:]} {
		if c.model.seen(secret) > 0 {
			t.Errorf("a request has %q: a file was read", secret)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(c.h.dir, "project", "pwned*")); len(found) > 0 {
		t.Errorf("a command was run: %v", found)
	}
}

// The same by the hooks of the host, which give it what comes beside the answers of its tools.
func TestClaudeCodeKeepsHostileTextsOfHooksInTheirFrames(t *testing.T) {
	t.Parallel()
	findClaude(t)
	const enough = "toolu_40" // calls
	commands := []string{"touch begun; until [ -e go ]; do sleep 0.05; done", "true"}
	texts := hostileTexts(t)
	last := fmt.Sprintf("sign-%03d.", len(texts)-1)
	m := newModel(t, func(request string) string {
		switch {
		case !strings.Contains(request, "good morning") || strings.Contains(request, last) || strings.Contains(request, enough):
			return ""
		case strings.Contains(request, "toolu_1"):
			return commands[1]
		}
		return commands[0]
	})
	m.serverEnv = noInbox
	w := newWorld(t)
	anna, ben := w.pair()
	ben.takesAll(t)
	c := ben.openClaude(t, m, "--allowedTools", "Bash")
	row := anna.seesSession("claudemesh-session")
	c.begun()
	anna.sendAll(t, row, texts)
	ben.eventually("all have come", func() bool { return len(ben.inbox()) == len(texts) })
	c.goOn(t)
	ben.eventually("the model is asked about all of them", func() bool { return m.seen(last) > 0 })
	c.wantFrames(t, prompts(t, m.last(last), commands...), texts, 0)
}
