package demo

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// watch is a verb that follows the roster until it is ended.
type watch struct {
	cmd     *exec.Cmd
	changes chan localapi.PeerChange // closed when it ends
}

// watch starts to follow who is there.
func (h *home) watch(ctx context.Context) (*watch, error) {
	cmd, err := h.command(ctx, nil, "--json", "peers", "--watch")
	if err != nil {
		return nil, err
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = cleanTime
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, mesh.Errorf(mesh.IOError, "start a watch: %w", err)
	}
	w := &watch{cmd: cmd, changes: make(chan localapi.PeerChange)}
	go w.read(ctx, out)
	return w, nil
}

func (w *watch) read(ctx context.Context, out io.Reader) {
	defer close(w.changes)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var c localapi.PeerChange
		if wire.Decode(lines.Bytes(), &c) != nil {
			return // until misses what it waits for
		}
		select {
		case w.changes <- c:
		case <-ctx.Done():
			return
		}
	}
}

// until waits for a change of a peer.
func (w *watch) until(ctx context.Context, key mesh.Key, what string) error {
	limit := time.NewTimer(verbTime)
	defer limit.Stop()
	for {
		select {
		case c, more := <-w.changes:
			if !more {
				return mesh.Errorf(mesh.Undelivered, "the watch ended")
			}
			if c.Change == what && c.Peer != nil && c.Peer.MemberPubkey == key {
				return nil
			}
		case <-limit.C:
			return mesh.Errorf(mesh.Undelivered, "the watch never showed that %s %s", key.Short(), what)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end stops the watch.
func (w *watch) end() {
	_ = w.cmd.Process.Signal(os.Interrupt) // it may have ended
	for range w.changes {                  // read to the end, so that nothing of it is left
	}
	_ = w.cmd.Wait() // how it ended says nothing
}
