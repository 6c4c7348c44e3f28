//go:build unix

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// forHumans are the verbs that a host session is refused, with words that would do something outside of one.
func forHumans(folder string) [][]string {
	file := filepath.Join(folder, "copy")
	return [][]string{
		{"launch", "--", "-p", "hi"}, {"connect", "--", "-p", "hi"}, {"install"}, {"uninstall"},
		{"daemon", "backup", file}, {"daemon", "restore", file, "--yes"}, {"daemon", "repair"}, {"daemon", "accept-host"},
		{"daemon", "install-service"}, {"daemon", "uninstall-service"}, {"broker", "backup", file}, {"broker", "restore", file, "--yes"},
		{"down"}, {"daemon", "down"}, {"trust", "accept", "ben"}, {"trust", "reject", "ben"}, {"grant", "ben", "dm"},
		{"revoke", "ben", "dm"}, {"block", "ben"}, {"unblock", "ben"}, {"kick", "ben", "--yes"}, {"ban", "ben", "--yes"},
	}
}

// What is for the human alone is refused to every process below a session's, whatever it does to its environment, and also
// while no daemon runs that could be asked (design E4).
func TestThreatHumanOnlyVerbsInsideASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	anna.must("up")
	s := anna.open(uuid.NewString())
	refused := func(when string) {
		t.Helper()
		for _, args := range forHumans(t.TempDir()) {
			if a := s.bare(args...); a.Exit != mesh.HumanOnly.Exit() {
				t.Errorf("%s, %v without the session's variables: exit status %d, want %d\n%s%s", when, args, a.Exit, mesh.HumanOnly.Exit(), a.Out, a.Err)
			}
		}
	}
	refused("beside a daemon")
	if a := s.run("down"); a.Exit != mesh.HumanOnly.Exit() {
		t.Errorf("down with the session's variables: exit status %d, want %d", a.Exit, mesh.HumanOnly.Exit())
	}
	anna.must("daemon", "backup", filepath.Join(t.TempDir(), "mine"))
	anna.must("daemon", "down")
	refused("without a daemon") // until the session's own process starts one, a second later
	anna.must("peers")
}
