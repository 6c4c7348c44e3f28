package cli

import (
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestCLILesson142SelfIsASwitch: a flag without a value takes no word behind it, wherever it stands and whatever the verb is
// called.
func TestCLILesson142SelfIsASwitch(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"send --self backend hi", "send backend --self hi", "send backend hi --self", "message send --self backend hi"} {
		w := withDaemon(t)
		r := w.Run(strings.Fields(line)...)
		asked := strings.Join(w.Daemon.Recorded(), "\n")
		if r.Exit != mesh.ExitOK || !strings.Contains(asked, `"to":"backend","message":"hi"`) || !strings.Contains(asked, `"to_self":true`) {
			t.Errorf("%s: got exit %d and %s, want the recipient, the text and the flag", line, r.Exit, asked)
		}
	}
}

// TestCLILesson243NoVerbGuessesTheMesh: a verb about one mesh names it where several are joined, and is told which there are;
// one about a peer has the daemon look for it in all of them.
func TestCLILesson243NoVerbGuessesTheMesh(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"share", "invites list", "inbox flush", "member role ben admin"} {
		w := withDaemon(t)
		r := w.Run(strings.Fields(line)...)
		for _, asked := range w.Daemon.Recorded() {
			if !strings.HasPrefix(asked, "GET /v1/meshes") {
				t.Errorf("%s: asked %q, want nothing done", line, asked)
			}
		}
		if r.Exit != mesh.ExitUsage || !strings.Contains(r.Err, "--mesh") && !strings.Contains(r.Err, "joined: ") {
			t.Errorf("%s: got exit %d and %q, want 3 and the meshes, or the flag", line, r.Exit, r.Err)
		}
	}
	if r := withDaemon(t).Run("delete"); r.Exit != mesh.ExitUsage {
		t.Errorf("delete: got exit %d, want the mesh to be named", r.Exit)
	}
}
