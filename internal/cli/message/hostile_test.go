package message

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// On a terminal a hostile text, or name, stays on the lines of its message, indented, and does nothing to the terminal: in the
// inbox, and in the list of what is held.
func TestThreatHostileTextsOnATerminal(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../host/testdata/hostile.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ Name, Text string }
	if err := json.Unmarshal(data, &all); err != nil || len(all) < 60 {
		t.Fatalf("%d texts, %v; want at least 60", len(all), err)
	}
	for _, h := range all {
		m := localapi.InboxItem{SenderName: h.Text, Body: &h.Text, Topic: &h.Text, Subtype: h.Text, Mesh: h.Text, BrokerMessageID: mesh.ID(h.Text), ReplyToID: &h.Text}
		var out bytes.Buffer
		s := term.NewStream(&out, true)
		writeInbox(s, []localapi.InboxItem{m}, time.Unix(0, 0))
		writeHeld(s, []localapi.HeldMessage{{Message: m, From: []localapi.HeldFrom{{DisplayName: h.Text, Reason: h.Text}}}}, time.Unix(0, 0))
		for _, r := range out.String() {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r >= 0xE0000 && r < 0xE0080) {
				t.Errorf("%s: writes %U", h.Name, r)
				break
			}
		}
		heads := 0
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, "    ") && strings.TrimSpace(line) != "" {
				heads++
			}
		}
		if heads != 2 {
			t.Errorf("%s: %d lines stand where the head of a message does, want 2:\n%s", h.Name, heads, out.String())
		}
	}
}
