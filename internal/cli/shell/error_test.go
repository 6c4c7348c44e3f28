package shell

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestUnknownErrorsStayInside: an error that has no code tells people nothing of its cause, unless they ask.
func TestUnknownErrorsStayInside(t *testing.T) {
	t.Parallel()
	for verbose, want := range map[bool]string{false: "internal error", true: "secret cause"} {
		var out, stderr strings.Builder
		a := New(System{Stdout: &out, Stderr: &stderr, Lookup: func(string) (string, bool) { return "", false }})
		a.Flags.Verbose = verbose
		if exit := a.Finish(t.Context(), errors.New("secret cause")); exit != mesh.ExitInternal || !strings.HasPrefix(stderr.String(), "claudemesh: "+want+"\n") {
			t.Errorf("got exit %d and %q, want 8 and %q", exit, stderr.String(), want)
		}
	}
}

// TestCtrlCTellsOfTheMessage: who breaks off a send has to learn its id, and nothing needs to be said of what else ends so.
func TestCtrlCTellsOfTheMessage(t *testing.T) {
	t.Parallel()
	cancelled := fmt.Errorf("call the daemon: %w", context.Canceled)
	for name, c := range map[string]struct {
		args []string
		err  error
		want string // on both streams
	}{
		"a message":         {nil, AboutMessage(cancelled, "m-1"), "claudemesh: cancelled\nhint: the message may have been queued: `claudemesh message status m-1` tells\n"},
		"a message as JSON": {[]string{"--json"}, AboutMessage(cancelled, "m-1"), `"client_message_id": "m-1"`},
		"anything else":     {nil, cancelled, ""},
	} {
		var out strings.Builder
		a := New(System{Args: c.args, Stdout: &out, Stderr: &out, Lookup: func(string) (string, bool) { return "", false }})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if exit := a.Finish(ctx, c.err); exit != mesh.ExitCancelled {
			t.Errorf("%s: got exit %d, want %d", name, exit, mesh.ExitCancelled)
		}
		if got := out.String(); got != c.want && (c.args == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
