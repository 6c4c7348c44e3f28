package mcp

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/host"
)

// What goes out as a channel notification has a hostile text where a text belongs, and as what the host shows: on the lines of
// the text, and in strings.
func TestThreatHostileTextsInChannels(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../host/testdata/hostile.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ Name, Text string }
	if err := json.Unmarshal(data, &all); err != nil || len(all) < 60 {
		t.Fatalf("%d texts, %v; want at least 60", len(all), err)
	}
	for _, h := range all {
		one := item(1, h.Text, h.Text)
		one.Topic, one.Subtype = &h.Text, h.Text
		content := contentOf(one)
		want := ": " + host.Body(h.Text)
		if head, ok := strings.CutSuffix(content, want); !ok || strings.Contains(head, "\n") {
			t.Errorf("%s: got %q, want one line of ours before the text", h.Name, content)
		}
		for name, value := range metaOf(one) {
			if strings.ContainsAny(value, "<>\"'\n\r\x00\x1b") {
				t.Errorf("%s: %s is %q", h.Name, name, value)
			}
		}
	}
}
