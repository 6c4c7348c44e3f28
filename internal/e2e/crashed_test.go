//go:build unix

package e2e

import (
	"os"
	"testing"
)

// TestCLILesson111CrashedDaemonIsNoDaemon: what a daemon that crashed has left, socket and pid, is no daemon: the next verb
// starts one, by asking and not by looking, and what was on its way goes on.
func TestCLILesson111CrashedDaemonIsNoDaemon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	anna.must("up")
	before := anna.daemon().pid()
	if !anna.daemon().signal(sigKill) {
		t.Fatal("there is no daemon")
	}
	anna.eventually("the daemon is gone", func() bool { return anna.daemon().pid() == 0 })
	if _, err := os.Stat(anna.paths.Daemon.Socket()); err != nil {
		t.Fatalf("the crash has left no socket: %v", err)
	}
	r := anna.exits(0, "send", "anna@"+hostname(t), "after the crash", "--self", "--wait")
	if after := anna.daemon().pid(); after == 0 || after == before {
		t.Errorf("the daemon has the pid %d, want another than %d\n%s", after, before, r.err)
	}
}
