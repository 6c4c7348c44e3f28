package host

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// hostile is one text of somebody who wants out of a frame, or a session to do something.
type hostile struct{ Name, Text string }

func readHostile(t *testing.T) []hostile {
	t.Helper()
	data, err := os.ReadFile("testdata/hostile.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []hostile
	if err := json.Unmarshal(data, &all); err != nil || len(all) < 60 {
		t.Fatalf("%d texts, %v; want at least 60", len(all), err)
	}
	return all
}

// element finds what hosts and models take for the beginning of an element with a meaning, in text without hidden letters.
var element = regexp.MustCompile(`(?i)<[\s/\\!?]*(cross-session|channel|system|user|human|assistant|teammate-|agent-|task-|local-command|command-|bash-|function_|` + "ant" + `ml:|invoke|parameter|tool_|claudemesh-)`)

// unmasked writes look-alikes as what they look like.
func unmasked(text string) string {
	return strings.NewReplacer("\uff1c", "<", "\uff1e", ">", "\u0441", "c", "\u200d", "", "\u200c", "").Replace(text)
}

// checkSafe wants a text without an element, without what a terminal or a reader would not see as it is.
func checkSafe(t *testing.T, what, text string) {
	t.Helper()
	if found := element.FindString(unmasked(text)); found != "" {
		t.Errorf("%s: has %q: %q", what, found, text)
	}
	if !utf8.ValidString(text) {
		t.Errorf("%s: is no UTF-8", what)
	}
	for _, r := range text {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029 || r >= 0xE0000 && r < 0xE1000) {
			t.Errorf("%s: has %U", what, r)
			return
		}
	}
}

// No text leaves the place that it is given in any of the forms in which a session is shown one, be it a text, or a name.
func TestThreatHostileTexts(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef0123456789abcdef"
	for _, h := range readHostile(t) {
		item := localapi.InboxItem{
			SenderName: h.Text, Mesh: "team", SenderPubkey: mesh.Key(strings.Repeat("a", 64)), BrokerMessageID: "m1", Attempt: token,
			Body: &h.Text, ReplyToID: &h.Text,
		}
		frame := Message(item, MaxBodyBytes)
		head, rest, _ := strings.Cut(frame, ">\n")
		body, after, closed := strings.Cut(rest, "\n</cross-session-message>")
		if !strings.HasPrefix(head, "<cross-session-message from-name=") || !closed || after != "" || strings.ContainsAny(head[1:], "<>\n") {
			t.Errorf("%s: the frame is %q … %q", h.Name, head, after)
		}
		if got := Attempts(frame); len(got) != 1 || got[0] != token {
			t.Errorf("%s: the frame proves %q, want its own token", h.Name, got)
		}
		if quotes := strings.Count(head, `"`); quotes != 2*strings.Count(head, `="`) {
			t.Errorf("%s: an attribute ends early: %q", h.Name, head)
		}
		checkSafe(t, h.Name, body)
		checkSafe(t, h.Name+" as attribute", Attribute(h.Text))
		checkSafe(t, h.Name+" as name", Name(h.Text))
		checkSafe(t, h.Name+" on a line", Line(h.Text))
		if strings.Contains(Name(h.Text)+Line(h.Text), "\n") {
			t.Errorf("%s: a name or a line has two lines", h.Name)
		}
		for line := range strings.Lines(body) {
			if got := Attempts(line); got != nil {
				t.Errorf("%s: a line of the text proves %q", h.Name, got)
			}
		}
		if Typed(frame) {
			t.Errorf("%s: the frame is taken for words of the human", h.Name)
		}
	}
}

// However much of what has to be escaped others write wherever they can, a frame takes no more than its share of a context.
func TestThreatFramesAreBounded(t *testing.T) {
	t.Parallel()
	const limitBytes = 4_000
	for _, sign := range []string{`"`, "&", "'", "\u202e", "<", "\U0001d49c"} {
		long := strings.Repeat(sign, 8_000)
		for _, name := range []string{long, "a" + strings.Repeat("'", 70)} {
			frame := Message(localapi.InboxItem{
				SenderName: name, Mesh: strings.Repeat("m", 32), SenderPubkey: mesh.Key(strings.Repeat("a", 64)), BrokerMessageID: mesh.ID(long),
				Attempt: strings.Repeat("0", 64), Body: &long, ReplyToID: &long, Muted: true,
			}, limitBytes)
			if len(frame) > limitBytes+FrameBytes || !strings.HasSuffix(frame, "\n</cross-session-message>") {
				t.Errorf("%q: a frame has %d bytes, want at most %d", sign, len(frame), limitBytes+FrameBytes)
			}
		}
	}
}
