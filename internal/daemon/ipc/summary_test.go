package ipc

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/host"
)

// What a session is told of messages that wait is one line, whatever their senders and meshes are called.
func TestThreatHostileNamesInSummaries(t *testing.T) {
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
		v := verdicts{standing: func(inbox.Row) node.Standing { return node.Standing{Name: h.Text} }}
		got := v.summary([]inbox.Row{{Mesh: h.Text}, {Mesh: "b"}})
		of := host.Name(h.Text) + "·"
		want := "2 messages of other sessions are unread, from " + of + host.Line(h.Text) + ", " + of + "b. `claudemesh inbox` lists what is unread."
		if got != want || strings.ContainsAny(got, "\n\r\x1b") || len(host.Attempts(got)) > 0 {
			t.Errorf("%s: got %q, want the line %q", h.Name, got, want)
		}
	}
}
