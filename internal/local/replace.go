package local

import (
	"cmp"
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// stopBudget is how long a daemon that was told to end may take; it needs 5 s at most (daemon 5.2).
const stopBudget = 8 * time.Second

// Replace ends the daemon that runs and makes another one answer, if still is true once it is this verb's turn: of several
// verbs at once, one replaces it. It returns how long that took; 0 when there was nothing to do. The old one ends as it
// does by `daemon down`: what is on its way waits on the disk. It is timeout when it does not end, and then goes on.
func (s *Starter) Replace(ctx context.Context, still func() bool) (time.Duration, error) {
	began := s.Now()
	turn, err := s.takeTurn(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = turn.Unlock() }() // the file stays; closing the handle frees it in any case
	if s.Forbidden || !still() {
		return 0, nil
	}
	if err := s.Stop(ctx); err != nil {
		return 0, err
	}
	err = s.bring(ctx)
	return s.Now().Sub(began), err
}

// Stop ends the daemon that runs, if one does, and waits until it has ended: timeout when it does not.
func (s *Starter) Stop(ctx context.Context) error {
	if !s.Lives() {
		return nil
	}
	pid := ReadPID(s.Daemon.PID())
	if err := Terminate(pid); err != nil {
		return mesh.Errorf(mesh.IOError, "end the daemon, process %d: %w", pid, err)
	}
	late := time.NewTimer(cmp.Or(s.stopBudget, stopBudget))
	defer late.Stop()
	tick := time.NewTicker(pollStep)
	defer tick.Stop()
	for s.Lives() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return mesh.Errorf(mesh.Timeout, "the daemon, process %d, was told to end and still runs", pid)
		case <-tick.C:
		}
	}
	return nil
}

// ReadPID reads a pid file; 0 when there is none.
func ReadPID(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
