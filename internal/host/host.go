// Package host knows what can be learned of the programs that sessions run in, and how text is shown in one: process
// facts, the rules that its settings set for foreign messages, the frame around a message, the inbox socket.
//
// Nothing here forks a process, and nothing is written but to an inbox socket, and marks of which processes are sessions.
package host

import (
	"context"
	"iter"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Process is a running process of this machine.
type Process struct {
	PID    int
	Parent int
	// Start is when it began, as the system tells it: opaque, the same for the process's whole life, and another for
	// every other process that ever has its id. Compare for equality only.
	Start string
}

// Find returns a process that runs now; a zombie does not. not_found otherwise.
func Find(pid int) (Process, error) {
	if pid <= 0 {
		return Process{}, mesh.Errorf(mesh.NotFound, "%d is no process id", pid)
	}
	p, err := find(pid)
	if err != nil {
		return Process{}, mesh.Errorf(mesh.NotFound, "find process %d: %w", pid, err)
	}
	return p, nil
}

// maxDepth bounds a walk up the process tree; people's trees have less than twenty levels.
const maxDepth = 64

// Ancestry yields a process, its parent, its parent's parent and so on, at most 64 of them. It yields nothing for a
// process that does not run.
func Ancestry(pid int) iter.Seq[Process] {
	return func(yield func(Process) bool) {
		for range maxDepth {
			p, err := Find(pid)
			if err != nil || !yield(p) || p.Parent == p.PID {
				return
			}
			pid = p.Parent
		}
	}
}

// Descends reports whether a process is ancestor or has it among its ancestors.
func Descends(pid, ancestor int) bool {
	for p := range Ancestry(pid) {
		if p.PID == ancestor {
			return true
		}
	}
	return false
}

// pollEvery is how often a process is looked at where the system does not tell of its end.
const pollEvery = 500 * time.Millisecond

// Exited waits until the process pid that began at start is gone and returns nil, at once when it is gone already; the
// context's error when ctx ends first. It notices within a second.
func Exited(ctx context.Context, pid int, start string) error {
	w, err := watch(pid)
	if err != nil { // gone, or the system cannot tell: looking at it shows which
		return pollExit(ctx, pid, start)
	}
	defer w.close()
	if !runs(pid, start) { // after watch, which may have caught a later process of the same id
		return nil
	}
	if err := w.wait(ctx); err == nil || ctx.Err() != nil {
		return err
	}
	return pollExit(ctx, pid, start)
}

// pollExit looks at the process again and again.
func pollExit(ctx context.Context, pid int, start string) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for runs(pid, start) {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// runs reports whether the process of that start runs.
func runs(pid int, start string) bool {
	p, err := Find(pid)
	return err == nil && p.Start == start
}
