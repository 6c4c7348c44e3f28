package host

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestMain is also the child of these tests: called claude, the binary waits for the end of its input.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "claude" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is a process that runs until its input is closed.
type child struct {
	*exec.Cmd
	in io.Closer
}

// startChild runs this binary under the given arguments, the first of which is its name.
func startChild(t *testing.T, env []string, args ...string) child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Args, cmd.Env = args, env
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the race detector would keep it for another second
		_ = cmd.Wait()         // once more after a test that waited itself
	})
	for seen := []string{""}; seen[0] == ""; runtime.Gosched() { // the arguments stand there a moment after the start
		if seen, err = commandLine(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	return child{cmd, in}
}

func TestFind(t *testing.T) {
	t.Parallel()
	c := startChild(t, nil, "claude")
	self, err := Find(os.Getpid())
	if err != nil || self.Parent != os.Getppid() || self.Start == "" {
		t.Fatalf("self: got %+v, %v; want parent %d and a start", self, err, os.Getppid())
	}
	p, err := Find(c.Process.Pid)
	if err != nil || p.Parent != os.Getpid() {
		t.Errorf("child: got %+v, %v; want parent %d", p, err, os.Getpid())
	}
	if again, err := Find(p.PID); err != nil || again != p {
		t.Errorf("child again: got %+v, %v; want %+v", again, err, p)
	}
	for _, pid := range []int{0, -1, 1 << 30} {
		if _, err := Find(pid); !mesh.IsCode(err, mesh.NotFound) {
			t.Errorf("process %d: got %v, want not_found", pid, err)
		}
	}
}

func TestZombieDoesNotRun(t *testing.T) {
	t.Parallel()
	c := startChild(t, nil, "claude")
	p, err := Find(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.in.Close() // it exits, and nobody waits for it before the test ends
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Exited(ctx, p.PID, p.Start); err != nil {
		t.Fatalf("the exit was not noticed: %v", err)
	}
	if _, err := Find(p.PID); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("a zombie is found: %v", err)
	}
}

func TestDescends(t *testing.T) {
	t.Parallel()
	c := startChild(t, nil, "claude")
	other := startChild(t, nil, "claude")
	tests := []struct {
		name          string
		pid, ancestor int
		want          bool
	}{
		{"itself", os.Getpid(), os.Getpid(), true},
		{"child of this", c.Process.Pid, os.Getpid(), true},
		{"child of the parent", c.Process.Pid, os.Getppid(), true},
		{"parent of the child", os.Getpid(), c.Process.Pid, false},
		{"siblings", c.Process.Pid, other.Process.Pid, false},
		{"nobody", 1 << 30, 1 << 30, false},
	}
	for _, tt := range tests {
		if got := Descends(tt.pid, tt.ancestor); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestExited(t *testing.T) {
	t.Parallel()
	c := startChild(t, nil, "claude")
	p, err := Find(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for name, wait := range map[string]func(context.Context, int, string) error{"told": Exited, "polled": pollExit} {
		if err := wait(t.Context(), p.PID, "another start"); err != nil {
			t.Errorf("%s: a process of another start counts as running: %v", name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := wait(ctx, p.PID, p.Start); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: a running process: got %v, want the context's error", name, err)
		}
		cancel()
	}
	gone := make(chan error, 2)
	go func() { gone <- Exited(t.Context(), p.PID, p.Start) }()
	go func() { gone <- pollExit(t.Context(), p.PID, p.Start) }()
	_ = c.in.Close()
	_ = c.Wait()
	for range 2 {
		if err := <-gone; err != nil {
			t.Errorf("the exit was not noticed: %v", err)
		}
	}
	if err := Exited(t.Context(), p.PID, p.Start); err != nil {
		t.Errorf("after the exit: %v", err)
	}
}
