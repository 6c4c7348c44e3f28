package local

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// starter starts this test binary as a daemon of a mode, in a folder of its own, and ends what it started.
func starter(t *testing.T, mode string) *Starter {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := paths.Daemon{Dir: filepath.Join(folder(t), "d")}
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(d.Dir, "stop"), nil, 0o600) // without it the daemon ends when its folder is gone
		eventually(t, "the daemon has ended", func() bool { return !Locked(d.Lock()) })
	})
	return &Starter{
		Daemon: d, Executable: self, Environ: append(os.Environ(), fakeMode+"="+mode, fakeFolder+"="+d.Dir, "CLAUDE_CODE_SESSION_ID=s", "CLAUDECODE=1"),
		Now: time.Now, budget: 30 * time.Second, slowBudget: 30 * time.Second,
	}
}

// starts lists the daemons that were started: "<pid> <arguments>".
func starts(t *testing.T, s *Starter) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Daemon.Dir, "starts"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestStart(t *testing.T) {
	t.Parallel()
	s := starter(t, "serves")
	s.Flags = []string{"--no-tcp"}
	took, err := s.Start(t.Context())
	if err != nil || took <= 0 {
		t.Fatalf("got %v, %v, want a daemon", took, err)
	}
	pid, args, _ := strings.Cut(starts(t, s)[0], " ")
	if args != "daemon up --foreground --no-tcp" {
		t.Errorf("got arguments %q", args)
	}
	resp, err := client(t, s.Daemon.Socket()).Do(t.Context(), get("/"))
	if err != nil || string(resp.Body) != `{"pid":`+pid+`}` {
		t.Errorf("got %q, %v, want the answer of the daemon", resp.Body, err)
	}
	if _, err := s.Start(t.Context()); err != nil || len(starts(t, s)) != 1 {
		t.Errorf("again: got %v and %d starts, want the daemon that is there", err, len(starts(t, s)))
	}
	if !s.Lives() {
		t.Error("the daemon does not live, says its lock")
	}
	if runtime.GOOS == "windows" {
		return
	}
	for path, want := range map[string]os.FileMode{s.Daemon.Dir: 0o700, s.Daemon.Log(): 0o600, s.Daemon.SpawnLock(): 0o600} {
		if got := mode(t, path); got != want {
			t.Errorf("%s: got mode %o, want %o", path, got, want)
		}
	}
}

func TestEnvironmentOfTheDaemon(t *testing.T) {
	t.Parallel()
	s := starter(t, "serves")
	if _, err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(s.Daemon.Dir, "environ"))
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Split(string(data), "\n")
	for _, kv := range env {
		if strings.HasPrefix(kv, "CLAUDE_") || strings.HasPrefix(kv, "CLAUDECODE") {
			t.Errorf("the daemon has %s of the host session", kv)
		}
	}
	if !slices.Contains(env, guardVariable+"=1") || !slices.Contains(env, fakeMode+"=serves") {
		t.Errorf("got %q, want the guard and all else", env)
	}
}

func TestManyStartOne(t *testing.T) {
	t.Parallel()
	s := starter(t, "serves")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			one := *s
			if _, err := one.Start(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := starts(t, s); len(got) != 1 {
		t.Errorf("got %q, want one start", got)
	}
}

func TestDaemonThatBreaks(t *testing.T) {
	t.Parallel()
	s := starter(t, "breaks")
	took, err := s.Start(t.Context())
	want := "the daemon ended at once (exit status 3: the settings cannot be read; mend them); log: " + s.Daemon.Log()
	if !mesh.IsCode(err, mesh.DaemonStartFailed) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if took > 20*time.Second {
		t.Errorf("it took %s, want to be told at once", took)
	}
	if runtime.GOOS != "windows" && mode(t, s.Daemon.SpawnFailure()) != 0o600 {
		t.Errorf("got mode %o of the marker, want 600", mode(t, s.Daemon.SpawnFailure()))
	}
	// The next verbs are told so without another attempt, for half a minute.
	for range 3 {
		if _, err = s.Start(t.Context()); !mesh.IsCode(err, mesh.DaemonStartFailed) || !strings.HasSuffix(err.Error(), "ago, failed: "+want) {
			t.Errorf("again: got %v, want the failure of before, and why", err)
		}
	}
	if got := starts(t, s); len(got) != 1 {
		t.Errorf("got %q, want one attempt", got)
	}
	asked := *s // by a person, with `daemon up`, who may have mended it
	asked.Insist = true
	if _, err := asked.Start(t.Context()); err == nil || len(starts(t, s)) != 2 {
		t.Errorf("a person asked: got %v and %d starts, want a new attempt", err, len(starts(t, s)))
	}
	for _, age := range []time.Duration{failureMemory, -time.Hour} { // the clock may have been set
		at := time.Now().Add(-age)
		if err := os.Chtimes(s.Daemon.SpawnFailure(), at, at); err != nil {
			t.Fatal(err)
		}
		before := len(starts(t, s))
		if _, err := s.Start(t.Context()); err == nil || len(starts(t, s)) != before+1 {
			t.Errorf("with a marker of %s ago: got %v and %d starts, want a new attempt", age, err, len(starts(t, s)))
		}
	}
}

func TestSuccessForgetsTheFailure(t *testing.T) {
	t.Parallel()
	s := starter(t, "serves")
	if err := os.Mkdir(s.Daemon.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.remember(errors.New("of old"))
	old := time.Now().Add(-failureMemory)
	if err := os.Chtimes(s.Daemon.SpawnFailure(), old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Daemon.SpawnFailure()); err == nil {
		t.Error("the marker is still there")
	}
}

// A daemon that is ended while a verb starts it did not fail: it is started again, and the next verb need not wait half a
// minute.
func TestDaemonThatIsEndedWhileItStarts(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a process that was killed looks like one that failed")
	}
	for mode, want := range map[string]struct {
		starts int
		status string // empty: it is up in the end
	}{
		"killed once": {2, ""},
		"killed":      {launches, "signal: killed"},
		"ends":        {launches, "exit status 0"},
	} {
		s := starter(t, mode)
		_, err := s.Start(t.Context())
		text := ""
		if want.status != "" {
			text = "the daemon ended at once (" + want.status + "); log: " + s.Daemon.Log()
		}
		if mesh.IsCode(err, mesh.DaemonStartFailed) != (text != "") || text != "" && err.Error() != text {
			t.Errorf("%s: got %v, want %q", mode, err, text)
		}
		if got := starts(t, s); len(got) != want.starts {
			t.Errorf("%s: got starts %q, want %d", mode, got, want.starts)
		}
		if _, err := os.Stat(s.Daemon.SpawnFailure()); err == nil {
			t.Errorf("%s: a mark of a failure was left", mode)
		}
	}
}

func TestDaemonThatSaysNothing(t *testing.T) {
	t.Parallel()
	s := starter(t, "mute")
	s.budget = 100 * time.Millisecond
	_, err := s.Start(t.Context())
	if want := "the daemon did not answer within 100ms; log: " + s.Daemon.Log(); !mesh.IsCode(err, mesh.DaemonStartFailed) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestStartIsForbidden(t *testing.T) {
	t.Parallel()
	s := starter(t, "serves")
	s.Forbidden = true
	if _, err := s.Start(t.Context()); !mesh.IsCode(err, mesh.DaemonDown) || !strings.Contains(err.Error(), guardVariable) {
		t.Errorf("got %v, want %s, and the variable that forbids", err, mesh.DaemonDown)
	}
	if _, err := os.Stat(s.Daemon.Dir); err == nil {
		t.Error("something was made")
	}
}

// hold takes the daemon's lock, as a daemon does that has not come so far as to listen.
func hold(t *testing.T, s *Starter) *flock.Flock {
	t.Helper()
	if err := os.MkdirAll(s.Daemon.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock := flock.New(s.Daemon.Lock())
	if free, err := lock.TryLock(); err != nil || !free {
		t.Fatalf("got %v, %v, want the lock", free, err)
	}
	t.Cleanup(func() { _ = lock.Unlock() }) // some tests have given it back
	return lock
}

// A daemon that lives and is slow is waited for; nothing of it is touched (daemon 16.4).
func TestLesson125SlowDaemonIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := starter(t, "serves")
	hold(t, s)
	time.AfterFunc(200*time.Millisecond, func() {
		ln, err := net.Listen("unix", s.Daemon.Socket())
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = ln.Close() }) // only a test's
	})
	if _, err := s.Start(t.Context()); err != nil || starts(t, s) != nil {
		t.Errorf("got %v and starts %q, want the daemon that was there", err, starts(t, s))
	}
}

func TestDaemonThatStaysSlow(t *testing.T) {
	t.Parallel()
	s := starter(t, "serves")
	lock := hold(t, s)
	if err := os.WriteFile(s.Daemon.PID(), []byte("7"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.slowBudget = 100 * time.Millisecond
	_, err := s.Start(t.Context())
	if !mesh.IsCode(err, mesh.DaemonStartFailed) || starts(t, s) != nil {
		t.Errorf("got %v and starts %q, want a failure and no second daemon", err, starts(t, s))
	}
	if _, err := os.Stat(s.Daemon.PID()); err != nil {
		t.Errorf("a file of the daemon was touched: %v", err)
	}
	if _, err := os.Stat(s.Daemon.SpawnFailure()); err == nil {
		t.Error("a slow daemon counts as one that failed to start")
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
}

// A daemon that was just told to stop holds its lock to the end; then the verb needs another one.
func TestDaemonThatStopsIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	s := starter(t, "serves")
	lock := hold(t, s)
	time.AfterFunc(100*time.Millisecond, func() { _ = lock.Unlock() }) // shows in the test
	if _, err := s.Start(t.Context()); err != nil || len(starts(t, s)) != 1 {
		t.Errorf("got %v and starts %q, want a new daemon", err, starts(t, s))
	}
}

// A new daemon that finds another one, started by a service manager, ends with already_running.
func TestDaemonThatWasSecond(t *testing.T) {
	t.Parallel()
	s := starter(t, "taken")
	if _, err := s.Start(t.Context()); !mesh.IsCode(err, mesh.DaemonStartFailed) || !strings.Contains(err.Error(), "another daemon was first") {
		t.Errorf("got %v, want that the other one ended", err)
	}
	if err := s.launchBeside(t); err != nil {
		t.Errorf("got %v, want the daemon that was first", err)
	}
}

// launchBeside launches a daemon while another one holds the lock and comes to listen.
func (s *Starter) launchBeside(t *testing.T) error {
	t.Helper()
	hold(t, s)
	go func() {
		eventually(t, "one more daemon was started", func() bool { return len(starts(t, s)) == launches+1 })
		ln, err := net.Listen("unix", s.Daemon.Socket())
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = ln.Close() }) // only a test's
	}()
	return s.launch(t.Context())
}

func TestStartIsGivenUp(t *testing.T) {
	t.Parallel()
	s := starter(t, "mute")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "the daemon was started", func() bool { return starts(t, s) != nil })
		cancel()
	}()
	if _, err := s.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
	if _, err := os.Stat(s.Daemon.SpawnFailure()); err == nil {
		t.Error("who gave up counts as a daemon that failed to start")
	}
	turn := flock.New(s.Daemon.SpawnLock())
	if free, err := turn.TryLock(); err != nil || !free {
		t.Fatalf("got %v, %v, want the turn to be free again", free, err)
	}
	defer func() { _ = turn.Unlock() }() // only a test's
	waiting, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := s.Start(waiting); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another verb starts it: got %v, want the end of the context", err)
	}
}

// A daemon is not started over a socket that is not ours to replace.
func TestStartBesideAForeignSocket(t *testing.T) {
	t.Parallel()
	s := starter(t, "serves")
	if err := os.Mkdir(s.Daemon.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Daemon.Socket(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(t.Context()); !mesh.IsCode(err, mesh.Forbidden) || starts(t, s) != nil {
		t.Errorf("got %v and starts %q, want %s and none", err, starts(t, s), mesh.Forbidden)
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	s := starter(t, "serves")
	s.Executable = filepath.Join(s.Daemon.Dir, "none")
	if _, err := s.Start(t.Context()); !mesh.IsCode(err, mesh.IOError) {
		t.Errorf("no program: got %v, want %s", err, mesh.IOError)
	}
	file := filepath.Join(folder(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Daemon.Dir = filepath.Join(file, "d")
	if _, err := s.Start(t.Context()); !mesh.IsCode(err, mesh.IOError) {
		t.Errorf("no folder: got %v, want %s", err, mesh.IOError)
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.lock")
	if Locked(path) {
		t.Error("a file that is not there is locked")
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("the question made the file")
	}
	lock := flock.New(path)
	if free, err := lock.TryLock(); err != nil || !free {
		t.Fatal(free, err)
	}
	if !Locked(path) {
		t.Error("a lock that is held is free")
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				if Locked(path) {
					t.Errorf("%d: a free lock is held: those who ask see each other", i)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestTerminate(t *testing.T) {
	t.Parallel()
	for _, pid := range []int{0, -1, 1, -os.Getpid()} {
		if err := Terminate(pid); err == nil {
			t.Errorf("%d: got no error, want it refused", pid)
		}
	}
	s := starter(t, "serves")
	if _, err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(starts(t, s)[0], " ")
	pid, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := Terminate(pid); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lock is free", func() bool { return !s.Lives() })
	// Its socket is left behind; the next daemon would remove it, here the test does.
	if up, err := s.answers(t.Context()); up || err != nil {
		t.Errorf("got %v, %v, want that nobody answers", up, err)
	}
}
