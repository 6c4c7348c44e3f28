//go:build unix

package local

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A daemon whose process stands still is alive: verbs wait for it and none starts a second (daemon 24, no. 5).
func TestStoppedDaemonIsNotReplaced(t *testing.T) {
	t.Parallel()
	s := starter(t, "serves")
	if _, err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(starts(t, s)[0], " ")
	pid, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(s.Daemon.Socket())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // it runs unless the test broke off
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("got status %v, %v, want it stopped", status, err)
	}
	for range 5 {
		if _, err := s.Start(t.Context()); err != nil {
			t.Errorf("got %v, want the daemon that is there", err)
		}
	}
	c := client(t, s.Daemon.Socket())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx, get("/")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that the verb waits", err)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	check(t, c, get("/"), `{"pid":`+text+`}`)
	after, err := os.Stat(s.Daemon.Socket())
	if err != nil || !os.SameFile(before, after) || len(starts(t, s)) != 1 {
		t.Errorf("got %q and another socket, %v, want the first daemon untouched", starts(t, s), err)
	}
}
