// Package host knows what can be learned of the programs that sessions run in, and how text is shown in one: process
// facts, the rules that its settings set for foreign messages, the frame around a message, the inbox socket.
//
// Nothing here forks a process, and nothing is written but to an inbox socket.
package host

import (
	"context"
	"iter"
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
func Find(pid int) (Process, error) { panic("host: in the making") }

// Ancestry yields a process, its parent, its parent's parent and so on, at most 64 of them. It yields nothing for a
// process that does not run.
func Ancestry(pid int) iter.Seq[Process] { panic("host: in the making") }

// Descends reports whether a process is ancestor or has it among its ancestors.
func Descends(pid, ancestor int) bool { panic("host: in the making") }

// Exited waits until the process pid that began at start is gone and returns nil, at once when it is gone already; the
// context's error when ctx ends first. It notices within a second and costs nothing while it waits, where the
// system tells of exits.
func Exited(ctx context.Context, pid int, start string) error { panic("host: in the making") }
