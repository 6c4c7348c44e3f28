package local

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Times of starting a daemon (daemon 16.2).
const (
	startBudget    = 3 * time.Second
	slowBudget     = 10 * time.Second // for a daemon that holds its lock but does not answer yet
	failureMemory  = 30 * time.Second
	pollStep       = 10 * time.Millisecond
	lockStep       = 20 * time.Millisecond
	childPatience  = 5 * time.Second // for other verbs that start it at the same time
	guardVariable  = "CLAUDEMESH_INTERNAL_NO_AUTOSPAWN"
	alreadyRunning = int(mesh.ExitExists)
)

// Starter starts the daemon when a verb finds it down. The daemon's own lock decides who lives: no file of a daemon is
// ever removed from here (daemon 16.4).
type Starter struct {
	Daemon     paths.Daemon
	Executable string   // this program
	Environ    []string // of the new daemon, before host variables are taken out
	Flags      []string // further flags of `daemon up`
	Forbidden  bool     // the environment forbids starting
	Now        mesh.Clock
}

// Start makes a daemon answer and returns how long that took. Several verbs at once start one daemon. It fails with
// daemon_down when starting is forbidden, and with daemon_start_failed, naming the reason and the log, when it did not
// come up or failed within the last 30 seconds.
func (s *Starter) Start(ctx context.Context) (time.Duration, error) {
	began := s.Now()
	if s.Forbidden {
		return 0, mesh.Errorf(mesh.DaemonDown, "the daemon does not run, and %s forbids starting it", guardVariable)
	}
	if err := paths.EnsureDir(s.Daemon.Dir, paths.DirMode); err != nil {
		return 0, err
	}
	turn, err := s.takeTurn(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = turn.Unlock() }() // the file stays; closing the handle frees it in any case
	if s.answers(ctx) {
		return s.Now().Sub(began), nil
	}
	if err := s.bring(ctx); err != nil {
		return 0, err
	}
	return s.Now().Sub(began), nil
}

// takeTurn waits for other verbs that are starting the daemon.
func (s *Starter) takeTurn(ctx context.Context) (*flock.Flock, error) {
	ctx, cancel := context.WithTimeout(ctx, startBudget+slowBudget+childPatience)
	defer cancel()
	turn := flock.New(s.Daemon.SpawnLock(), flock.SetPermissions(paths.FileMode))
	if ok, err := turn.TryLockContext(ctx, lockStep); !ok {
		return nil, mesh.Errorf(mesh.DaemonStartFailed, "wait for another start of the daemon: %w", err)
	}
	return turn, nil
}

// bring waits for a daemon that lives, or starts one.
func (s *Starter) bring(ctx context.Context) error {
	if s.Lives() {
		return s.await(ctx, slowBudget, nil)
	}
	if since, failed := s.failedRecently(); failed {
		return mesh.Errorf(mesh.DaemonStartFailed, "the daemon failed to start %s ago; log: %s", since.Round(time.Second), s.Daemon.Log())
	}
	exited, err := s.spawn()
	if err == nil {
		err = s.await(ctx, startBudget, exited)
	}
	if err != nil {
		s.remember()
		return err
	}
	_ = os.Remove(s.Daemon.SpawnFailure()) // normally not there; a stale one only delays the next start
	return nil
}

// Lives reports whether a process holds the daemon's lock.
func (s *Starter) Lives() bool { return Locked(s.Daemon.Lock()) }

// Locked reports whether a process holds a lock file. It never makes the file.
func Locked(path string) bool {
	if _, err := os.Stat(path); err != nil {
		return false
	}
	l := flock.New(path, flock.SetPermissions(paths.FileMode))
	free, err := l.TryLock()
	if free {
		_ = l.Unlock() // it was only a question
	}
	return err == nil && !free
}

func (s *Starter) answers(ctx context.Context) bool {
	conn, err := Dial(ctx, s.Daemon.Socket())
	if err != nil {
		return false
	}
	_ = conn.Close() // it was only a question
	return true
}

// spawn starts `daemon up --foreground`, detached. The channel gives its exit.
func (s *Starter) spawn() (<-chan error, error) {
	args := append([]string{"daemon", "up", "--foreground"}, s.Flags...)
	return Spawn(s.Executable, args, s.Environ, s.Daemon.Log())
}

// Spawn starts a program of ours as a process that outlives this one: a session of its own, nothing of a host session
// in its environment, its output appended to a log. The channel gives its exit while this process lives.
func Spawn(executable string, args, environ []string, logPath string) (<-chan error, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, paths.FileMode)
	if err != nil {
		return nil, mesh.Errorf(mesh.IOError, "open a log: %w", err)
	}
	defer func() { _ = log.Close() }()       // the child has its own handle
	cmd := exec.Command(executable, args...) // no context: it outlives the verb
	cmd.Dir = filepath.Dir(logPath)
	cmd.Env = serviceEnv(environ)
	cmd.Stdout, cmd.Stderr = log, log
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, mesh.Errorf(mesh.IOError, "start %s: %w", executable, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // ends with the child, or with this process
	return exited, nil
}

// hostVariables belong to the session whose verb happens to start the daemon.
var hostVariables = []string{"CLAUDE_", "CLAUDECODE", "CLAUDEMESH_DISPLAY_NAME", "CLAUDEMESH_IPC_TOKEN", "CLAUDEMESH_SESSION_ID", guardVariable}

// serviceEnv is the environment of a daemon or broker: nothing of a session, and no starting of further daemons.
func serviceEnv(environ []string) []string {
	var env []string
	for _, kv := range environ {
		foreign := false
		for _, prefix := range hostVariables {
			foreign = foreign || strings.HasPrefix(kv, prefix)
		}
		if !foreign {
			env = append(env, kv)
		}
	}
	return append(env, guardVariable+"=1")
}

// await polls until the daemon answers. A child that ended is reported at once, unless another daemon was first.
func (s *Starter) await(ctx context.Context, budget time.Duration, exited <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	tick := time.NewTicker(pollStep)
	defer tick.Stop()
	for !s.answers(ctx) {
		select {
		case err := <-exited:
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == alreadyRunning {
				exited = nil
				continue
			}
			return mesh.Errorf(mesh.DaemonStartFailed, "the daemon ended at once (%v); log: %s", err, s.Daemon.Log())
		case <-ctx.Done():
			return mesh.Errorf(mesh.DaemonStartFailed, "the daemon did not answer within %s; log: %s", budget, s.Daemon.Log())
		case <-tick.C:
		}
	}
	return nil
}

// failedRecently reads the failure marker; only its time counts.
func (s *Starter) failedRecently() (time.Duration, bool) {
	info, err := os.Stat(s.Daemon.SpawnFailure())
	if err != nil {
		return 0, false
	}
	since := s.Now().Sub(info.ModTime())
	return since, since >= 0 && since < failureMemory
}

func (s *Starter) remember() {
	text := strconv.FormatInt(s.Now().UnixMilli(), 10)
	_ = os.WriteFile(s.Daemon.SpawnFailure(), []byte(text), paths.FileMode) // without it the next verb only tries sooner
}
