package rig

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// maxContext is how much a host takes of a hook (claude-code 4).
const maxContext = 10_000

// element finds the beginning of what hosts and models take for more than text.
var element = regexp.MustCompile(`(?i)<[\s/\\!?]*(cross-session|channel|system|user|human|assistant|teammate-|agent-|task-|local-command|command-|bash-|function_|invoke|parameter|tool_|claudemesh-)`)

// framesOf gives the bodies in a context by the tokens of their frames, and what stands outside of all frames.
func framesOf(t *testing.T, context string) (bodies map[string]string, outside []string) {
	t.Helper()
	bodies = map[string]string{}
	token := ""
	for line := range strings.Lines(context) {
		line = strings.TrimSuffix(line, "\n")
		switch _, after, head := strings.Cut(line, ` attempt="`); {
		case token != "" && line == "</cross-session-message>":
			token = ""
		case token != "":
			if found := element.FindString(line); found != "" {
				t.Errorf("a text has %q on the line %q", found, line)
			}
			bodies[token] += line + "\n"
		case head && strings.HasPrefix(line, "<cross-session-message from-name=") && strings.HasSuffix(line, ">"):
			token, _, _ = strings.Cut(after, `"`)
			bodies[token] = ""
		default:
			outside = append(outside, line)
		}
	}
	if token != "" {
		t.Errorf("the last frame of %q has no end", context)
	}
	return bodies, outside
}

// The context that hooks give to a host has every hostile text in the frame of its message, and nothing of it outside; what
// it has of tokens proves nothing.
func TestThreatHostileTextsInHooks(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../host/testdata/hostile.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ Name, Text string }
	if err := json.Unmarshal(data, &all); err != nil || len(all) < 60 {
		t.Fatalf("%d texts, %v; want at least 60", len(all), err)
	}
	set := quick
	connect := set.daemon
	set.daemon = func(d *config.Daemon) {
		connect(d)
		d.WakeMinute, d.WakeHour, d.WakeHourTokens, d.WakeSessionHour, d.WakeAlternating, d.OfferedLimit = 0, 0, 0, 0, 0, 1000
	}
	w := newWorld(t, set, "ada", "ben")
	ada, ben := w.homes[0], w.homes[1]
	w.trusts(ben, "ada")
	work := w.open(ben, "work")
	w.hook(work, localapi.HookRequest{Event: "SessionStart"})
	for _, h := range all {
		w.Send(ada, "work", h.Text)
	}
	w.Until("all have come", func() bool { return len(w.Inbox(work)) == len(all) })
	bodies, transcript := map[string]string{}, ""
	for {
		given := w.hook(work, localapi.HookRequest{Event: "PostToolUse"})
		if given.Context == "" {
			break
		}
		if len(given.Context) > maxContext {
			t.Errorf("a context has %d bytes, want at most %d", len(given.Context), maxContext)
		}
		found, outside := framesOf(t, given.Context)
		if len(outside) != 1 || !strings.HasPrefix(outside[0], "claudemesh, a mesh of coding sessions. ") || len(found) != len(given.Attempts) {
			t.Errorf("%d frames for %d messages, and outside of them %q; want one line of ours", len(found), len(given.Attempts), outside)
		}
		for _, token := range given.Attempts {
			bodies[token] = found[token]
		}
		entry, err := json.Marshal(map[string]any{
			"type": "attachment", "attachment": map[string]any{"type": "hook_additional_context", "content": []string{given.Context}},
		})
		w.must(err)
		transcript += string(entry) + "\n"
	}
	if len(bodies) != len(all) {
		t.Errorf("%d texts are in frames, want %d", len(bodies), len(all))
	}
	path := filepath.Join(t.TempDir(), "t.jsonl")
	w.must(os.WriteFile(path, []byte(transcript), 0o600))
	if got := w.hook(work, localapi.HookRequest{Event: "Stop", Transcript: path}); got.Surfaced != len(all) {
		t.Errorf("%d are proved by the transcript, want the %d whose frames are in it", got.Surfaced, len(all))
	}
}
