//go:build unix

package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// watching is a `peers --watch` that runs.
type watching struct {
	mu      sync.Mutex
	changes []localapi.PeerChange
	ended   bool
}

func (w *watching) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var c localapi.PeerChange
		if json.Unmarshal(lines.Bytes(), &c) != nil {
			continue // the error at its end has many lines
		}
		w.mu.Lock()
		w.changes = append(w.changes, c)
		w.mu.Unlock()
	}
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
}

// count says how often it was told a kind of change, of a peer or of none.
func (w *watching) count(change, name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, c := range w.changes {
		if c.Change == change && (c.Peer == nil && name == "" || c.Peer != nil && c.Peer.DisplayName == name) {
			n++
		}
	}
	return n
}

// A watch goes on over a restart of its daemon, after a crash too: it tells what changed meanwhile, and nothing twice. It
// starts no daemon that was ended on purpose.
func TestWatchOutlivesItsDaemon(t *testing.T) {
	t.Parallel()
	anna, ben := newWorld(t).pair()
	name := ben.user + "@" + hostname(t)
	cmd := anna.command(t.Context(), "peers", "--watch", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var w watching
	read := make(chan struct{})
	go func() { defer close(read); w.read(out) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, unless the test failed
		<-read
	})
	anna.eventually("ben is seen", func() bool { return w.count(localapi.PeerHere, name)+w.count(localapi.PeerCame, name) > 0 })
	anna.eventually("all is told", func() bool { return w.count(localapi.WatchReady, "") == 1 })

	anna.must("daemon", "down")
	anna.must("daemon", "up")
	anna.daemon().kill(t)
	anna.must("daemon", "up")
	ben.must("daemon", "down")
	anna.eventually("ben is seen to leave", func() bool { return w.count(localapi.PeerGone, name) > 0 })
	if here, ready := w.count(localapi.PeerHere, name), w.count(localapi.WatchReady, ""); here > 1 || ready > 1 {
		t.Errorf("it was told %d times that ben is there, and %d times that this is all, want once", here, ready)
	}

	anna.must("daemon", "down")
	<-read
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != int(mesh.ExitNetwork) {
		t.Errorf("it ended with %v, want status %d", err, mesh.ExitNetwork)
	}
	if anna.daemon().pid() != 0 {
		t.Error("it started the daemon that was ended")
	}
}

func hostname(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}
