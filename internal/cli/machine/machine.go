// Package machine is the verbs about the programs on this machine: daemon, broker, MCP server and demo, each and all
// together, and their settings.
package machine

import (
	"context"
	"strconv"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// stopped is what came of stopping a service.
type stopped struct {
	Stopped bool   `json:"stopped"`
	PID     int    `json:"pid,omitzero"`
	Reason  string `json:"reason,omitzero" jsonschema:"not_running, shutdown_timeout or not_started_by_up"`
}

// Reasons why a service was not stopped.
const (
	reasonNotRunning = "not_running"
	reasonTimeout    = "shutdown_timeout"
	reasonForeign    = "not_started_by_up"
)

func writeStopped(s term.Stream, what string, v stopped) {
	switch {
	case v.Stopped:
		s.OK(what+" is stopped", "pid "+strconv.Itoa(v.PID))
	case v.Reason == reasonNotRunning:
		s.Off(what + " does not run")
	case v.Reason == reasonForeign:
		s.Off(what + pidFact(v.PID) + " was not started by up and goes on")
	default:
		s.Warn(what + pidFact(v.PID) + " was told to stop and still runs")
	}
}

func pidFact(pid int) string {
	if pid == 0 {
		return ""
	}
	return " (pid " + strconv.Itoa(pid) + ")"
}

// Times of stopping (daemon 2.6), and of looking whether something happened.
const (
	stopTime = 8 * time.Second
	pollStep = 20 * time.Millisecond
)

// stop ends a service that holds its lock, by its pid file, and waits until the lock is free. The lock, not the file,
// says that it lives, so that no foreign process is ever told to stop.
func stop(ctx context.Context, lives func() bool, pidFile string) (stopped, error) {
	if !lives() {
		return stopped{Reason: reasonNotRunning}, nil
	}
	v := stopped{PID: local.ReadPID(pidFile)}
	if v.PID <= 1 {
		return v, mesh.Errorf(mesh.IOError, "it runs, but %s does not say which process it is", pidFile)
	}
	if err := local.Terminate(v.PID); err != nil {
		return v, mesh.Errorf(mesh.IOError, "stop process %d: %w", v.PID, err)
	}
	switch err := poll(ctx, stopTime, func() bool { return !lives() }); {
	case err == nil:
		v.Stopped = true
	case ctx.Err() != nil:
		return v, err
	default:
		v.Reason = reasonTimeout
	}
	return v, nil
}

// poll asks until the answer is yes; the error is that of the context or of the time that is up.
func poll(ctx context.Context, limit time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollStep)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
