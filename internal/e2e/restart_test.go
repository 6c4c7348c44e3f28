//go:build unix

package e2e

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Who starts the broker in the moment in which it ends gets a new one, not the old one's silence.
func TestUpWhileTheBrokerEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	anna.must("up")
	for range 5 {
		old := anna.broker().pid()
		anna.broker().signal(sigTerm)
		anna.eventually("the broker takes nobody any more", func() bool {
			conn, err := net.Dial("tcp", w.listen)
			if err == nil {
				_ = conn.Close() // it was only a question
			}
			return err != nil
		})
		anna.must("up")
		if pid := anna.broker().pid(); pid == 0 || pid == old {
			t.Errorf("process %d runs behind %d", pid, old)
		}
	}
}

// Who starts the daemon while the old one ends has started one, and is told so.
func TestDaemonUpWhileTheDaemonEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	anna.must("daemon", "up")
	old := anna.daemon()
	oldPID := old.pid()
	old.signal(syscall.SIGSTOP) // it lives, as one does that ends, and its socket is gone
	if err := os.Remove(anna.paths.Daemon.Socket()); err != nil {
		t.Fatal(err)
	}
	up := make(chan result, 1)
	cmd := anna.command(context.Background(), "daemon", "up", "--json")
	go func() { up <- finish(cmd) }()
	anna.eventually("the verb waits for the old one", func() bool { return local.Locked(anna.paths.Daemon.SpawnLock()) })
	old.kill(t)
	if r := <-up; r.exit != mesh.ExitOK || anna.daemon().pid() == oldPID {
		t.Errorf("got status %d, process %d behind %d\n%s%s", r.exit, anna.daemon().pid(), oldPID, r.out, r.err)
	}
}
