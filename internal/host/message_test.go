package host

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
)

func TestMessage(t *testing.T) {
	t.Parallel()
	body, reply := strings.Repeat("x", 100), "m0"
	item := localapi.InboxItem{ID: "row", BrokerMessageID: "m1", SenderName: "ada", Mesh: "team", Attempt: "t", Body: &body, ReplyToID: &reply}
	got := Message(item, 10)
	for _, want := range []string{`message-id="m1"`, `attempt="t"`, `reply-to="m0"`, "\nxxxxxxxxxx\n[cut here; the message has 100 bytes."} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want it with %s", got, want)
		}
	}
	for want, item := range map[string]localapi.InboxItem{
		undecryptable: {Undecryptable: true}, announced: {Announced: true}, withheld: {Held: true},
		"[the text has 5000 bytes, and is not shown by itself; to read it: claudemesh inbox]": {BodyBytes: 5000},
	} {
		if got := Text(item); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A token in the transcript counts where only the host can have put it.
func TestTranscript(t *testing.T) {
	t.Parallel()
	frame := func(token string) string { return Wrap(Frame{From: "ada", Attempt: token}, "hello") }
	quote := func(text string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) }
	context := HookContext(frame("c1") + "\n" + Wrap(Frame{Attempt: "c2"}, "see\n"+frame("quoted")) + "\n")
	lines := []string{
		`{"type":"user","message":{"role":"user","content":"` + quote(frame("a")) + `"}}`,
		`{"type":"user","message":{"role":"user","content":"look: ` + quote(frame("no")) + `"}}`,
		`{"type":"user","message":{"role":"user","content":[{"type":"tool_result","content":"` + quote(frame("no")) + `"}]}}`,
		`{"type":"queue-operation","operation":"enqueue","content":"` + quote(frame("no")) + `"}`,
		`{"type":"attachment","attachment":{"type":"queued_command","prompt":"` + quote(frame("b")) + `"}}`,
		`{"type":"attachment","attachment":{"type":"hook_success","stdout":"` + quote(context) + `"}}`,
		`{"type":"attachment","attachment":{"type":"hook_additional_context","content":["` + quote(context) + `","` + quote(frame("no")) + `"]}}`,
		`not JSON, attempt=\"no\"`,
		`{"type":"user","message":{"content":"` + strings.Repeat("x", maxEntryBytes) + quote(frame("no")) + `"}}`,
		`{"type":"user","message":{"content":"` + quote(frame("d")) + `"}}`,
	}
	whole := strings.Join(lines, "\n") + "\n"
	tokens, n, err := Transcript(strings.NewReader(whole + `{"type":"user"`))
	if diff := cmp.Diff([]string{"a", "b", "c1", "c2", "d"}, tokens); diff != "" || err != nil || n != int64(len(whole)) {
		t.Errorf("%v, %d bytes of %d (-want +got):\n%s", err, n, len(whole), diff)
	}
}
