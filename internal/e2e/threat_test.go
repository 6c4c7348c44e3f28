//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Names and targets that a shell, a terminal or a flag parser would take for something else are only text: refused, or
// sent as they are, and never run.
func TestThreat37OddArguments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	anna.must("up")
	owned := filepath.Join(anna.paths.Config.Dir, "owned")
	run := "$(touch " + owned + ")"
	for _, tt := range []struct {
		args []string
		exit mesh.Exit
	}{
		{[]string{"create", run}, mesh.ExitOK}, // under a safe slug
		{[]string{"create", "a\nb"}, mesh.ExitUsage},
		{[]string{"create", "--", "-rf"}, mesh.ExitUsage},
		{[]string{"send", run, "hi"}, mesh.ExitNotFound},
		{[]string{"send", "--", "--help", "hi"}, mesh.ExitNotFound},
		{[]string{"send", "--", "-x", "hi"}, mesh.ExitNotFound},
		{[]string{"send", "ben\x1b[2Janna", "hi"}, mesh.ExitUsage},
		{[]string{"send", "ben\nanna", "hi"}, mesh.ExitUsage},
		{[]string{"join", run}, mesh.ExitUsage},
		{[]string{"join", "--", "--help"}, mesh.ExitUsage},
		{[]string{"message", "status", run}, mesh.ExitNotFound},
		{[]string{"list", "--mesh", run}, mesh.ExitNotFound},
	} {
		r := anna.run(tt.args...)
		if r.exit != tt.exit {
			t.Errorf("%q: exit status %d, want %d:\n%s%s", tt.args, r.exit, tt.exit, r.out, r.err)
		}
		if strings.ContainsAny(r.out+r.err, "\x1b\x07") || strings.Contains(r.out+r.err, "Usage:") {
			t.Errorf("%q: commands a terminal, or prints its help:\n%q", tt.args, r.out+r.err)
		}
	}
	anna.must("send", anna.address(), run, "--mesh", "anna-mesh", "--self", "--wait")
	anna.must("send", "--mesh", "anna-mesh", "--self", "--wait", anna.address(), "--", "--help")
	if got := anna.texts(); len(got) != 2 || got[0] != run && got[1] != run {
		t.Errorf("got the messages %q, want %q and --help as they were written", got, run)
	}
	if _, err := os.Stat(owned); err == nil {
		t.Error("a name was run by a shell")
	}
	anna.must("list") // and all is well
}
