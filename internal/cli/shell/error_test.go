package shell

import (
	"errors"
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
