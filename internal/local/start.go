package local

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Times of starting a daemon (daemon 16.2).
const (
	startBudget   = 3 * time.Second
	serviceBudget = 8 * time.Second  // for one that a service manager starts
	liveBudget    = 10 * time.Second // for a daemon that holds its lock and does not answer yet
	failureMemory = 30 * time.Second
	pollStep      = 10 * time.Millisecond
	lockStep      = 20 * time.Millisecond
	turnPatience  = 5 * time.Second // for other verbs that start it, beyond the budgets

	launches = 3 // of one verb, while others end what it starts
)

// Starter starts the daemon when a verb finds it down. The daemon's own lock decides who lives: no file of a daemon is
// ever removed from here (daemon 16.4).
type Starter struct {
	Daemon     paths.Daemon
	Executable string   // this program
	Environ    []string // of the new daemon, before host variables are taken out
	Flags      []string // further flags of `daemon up`
	Forbidden  bool     // the environment forbids starting
	Insist     bool     // a person asked for this start: an earlier failure does not count
	Now        mesh.Clock
	// Manager asks the service manager that has a unit of this daemon to start it; false where there is none. Nil is none.
	Manager func(ctx context.Context) (bool, error)

	budget, slowBudget, stopBudget time.Duration // 0 means those of the constants
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
	up, err := s.answers(ctx)
	if err == nil && !up {
		err = s.bring(ctx)
	}
	return s.Now().Sub(began), err
}

// takeTurn waits for other verbs that are starting the daemon.
func (s *Starter) takeTurn(ctx context.Context) (*flock.Flock, error) {
	limited, cancel := context.WithTimeout(ctx, startBudget+liveBudget+turnPatience)
	defer cancel()
	turn := flock.New(s.Daemon.SpawnLock(), flock.SetPermissions(paths.FileMode))
	if ok, err := turn.TryLockContext(limited, lockStep); !ok {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, mesh.Errorf(mesh.DaemonStartFailed, "wait for another start of the daemon: %w", err)
	}
	return turn, nil
}

// bring waits for a daemon that lives, or starts one. A daemon that somebody ended while it started is started again, and
// leaves no mark: it did not fail.
func (s *Starter) bring(ctx context.Context) error {
	var err error
	for range launches {
		if s.Lives() {
			if err := s.outwait(ctx); !errors.Is(err, errGone) {
				return err
			}
		}
		if since, why := s.failedRecently(); why != "" && !s.Insist {
			return mesh.Errorf(mesh.DaemonStartFailed, "the last start, %s ago, failed: %s", since.Round(time.Second), why)
		}
		if err = s.launch(ctx); !errors.As(err, new(endedError)) {
			break
		}
	}
	switch {
	case err == nil:
		_ = os.Remove(s.Daemon.SpawnFailure()) // normally not there; a stale one only delays the next start
	case ctx.Err() == nil && !errors.As(err, new(endedError)): // who gave up, or was ended, says nothing about the daemon
		s.remember(err)
	}
	return err
}

// endedError is a new daemon that somebody ended: by a signal, or as `daemon down` does.
type endedError struct{ error }

// Unwrap gives the error with its code.
func (e endedError) Unwrap() error { return e.error }

// errGone is the end of a daemon that was waited for.
var errGone = errors.New("the daemon that lived has ended")

// outwait waits for a daemon that holds its lock and does not answer, because it is slow, starts or stops. ErrGone means
// that it has ended.
func (s *Starter) outwait(ctx context.Context) error {
	return s.await(ctx, cmp.Or(s.slowBudget, liveBudget), func() error {
		if s.Lives() {
			return nil
		}
		return errGone
	})
}

// launch starts `daemon up --foreground`, detached, and waits for it. Where a service manager has the daemon, it starts it,
// and nobody else: two would race (daemon 25, row 24).
func (s *Starter) launch(ctx context.Context) error {
	if s.Manager != nil {
		if managed, err := s.Manager(ctx); err != nil {
			return mesh.Errorf(mesh.DaemonStartFailed, "the system's service manager did not start the daemon: %w; `claudemesh daemon uninstall-service` removes its unit", err)
		} else if managed {
			return s.await(ctx, cmp.Or(s.budget, serviceBudget), func() error { return nil })
		}
	}
	logged := sizeOf(s.Daemon.Log())
	exited, err := Spawn(s.Executable, append([]string{"daemon", "up", "--foreground"}, s.Flags...), s.Environ, s.Daemon.Log())
	if err != nil {
		return err
	}
	err = s.await(ctx, cmp.Or(s.budget, startBudget), func() error {
		select {
		case err := <-exited:
			return s.ended(err, logged)
		default:
			return nil
		}
	})
	if errors.Is(err, errTaken) {
		err = s.outwait(ctx)
	}
	if errors.Is(err, errGone) {
		return endedError{mesh.Errorf(mesh.DaemonStartFailed, "another daemon was first, and ended; log: %s", s.Daemon.Log())}
	}
	return err
}

// errTaken is a new daemon that found another one running, which was started by other means.
var errTaken = errors.New("another daemon was first")

// ended says why a new daemon is over already.
func (s *Starter) ended(err error, logged int64) error {
	status, exit := "exit status 0", (*exec.ExitError)(nil)
	if err != nil {
		status = err.Error()
	}
	if errors.As(err, &exit) && exit.ExitCode() == int(mesh.AlreadyRunning.Exit()) {
		return errTaken
	}
	if said := lastWords(s.Daemon.Log(), logged); said != "" {
		status += ": " + said
	}
	why := mesh.Errorf(mesh.DaemonStartFailed, "the daemon ended at once (%s); log: %s", status, s.Daemon.Log())
	if err == nil || exit != nil && exit.ExitCode() < 0 { // it was told to, or a signal ended it
		return endedError{why}
	}
	return why
}

// await asks again and again whether the daemon answers. It ends when over says that there is no sense in waiting.
func (s *Starter) await(ctx context.Context, budget time.Duration, over func() error) error {
	late := time.NewTimer(budget)
	defer late.Stop()
	tick := time.NewTicker(pollStep)
	defer tick.Stop()
	for {
		up, err := s.answers(ctx)
		if err == nil && !up {
			err = over()
		}
		if up || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return mesh.Errorf(mesh.DaemonStartFailed, "the daemon did not answer within %s; log: %s", budget, s.Daemon.Log())
		case <-tick.C:
		}
	}
}

// answers reports whether somebody listens. A socket that is not ours is an error.
func (s *Starter) answers(ctx context.Context) (bool, error) {
	conn, err := Dial(ctx, s.Daemon.Socket())
	switch {
	case err == nil:
		_ = conn.Close() // it was only a question
		return true, nil
	case mesh.IsCode(err, mesh.DaemonDown):
		return false, nil
	}
	return false, err
}

// Lives reports whether a process holds the daemon's lock.
func (s *Starter) Lives() bool { return Locked(s.Daemon.Lock()) }

// Locked reports whether a process holds a lock file. It never makes the file. Those who ask at the same time do not see
// each other; a service that takes the lock at that moment may, and tries again.
func Locked(path string) bool {
	l := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	_ = l.Unlock() // it was only a question
	return err == nil && !free
}

// failedRecently reads the failure marker: only its time counts, and what it says is for people. Nothing is no failure.
func (s *Starter) failedRecently() (since time.Duration, why string) {
	info, err := os.Stat(s.Daemon.SpawnFailure())
	if err != nil {
		return 0, ""
	}
	since = s.Now().Sub(info.ModTime())
	if since < 0 || since >= failureMemory {
		return 0, ""
	}
	text, _ := os.ReadFile(s.Daemon.SpawnFailure()) // without it the log says why
	_, why, _ = strings.Cut(string(text), "\n")
	return since, cmp.Or(strings.TrimSpace(why), "the daemon failed to start; log: "+s.Daemon.Log())
}

// remember leaves a mark of a start that failed: the time, and in the next line why.
func (s *Starter) remember(err error) {
	text := strconv.FormatInt(s.Now().UnixMilli(), 10) + "\n" + mesh.PublicText(err) + "\n"
	_ = os.WriteFile(s.Daemon.SpawnFailure(), []byte(text), paths.FileMode) // without it the next verb only tries sooner
}
