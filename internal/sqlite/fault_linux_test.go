package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// systemChildren are the children that only this system can run.
var systemChildren = map[string]func(path string) error{"limit": childLimit}

// TestDiskFull fills a small disk of its own under the store, and frees it.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED, DISK FULL NOT TESTED ON A DISK: mounting needs root")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m,mode=700"); err != nil {
		t.Skipf("SKIPPED, DISK FULL NOT TESTED ON A DISK: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	path, ballast := filepath.Join(disk, "store.db"), filepath.Join(disk, "ballast")
	write(t, ballast, make([]byte, 1<<20))
	db := openTest(t, path, options())
	stored := fillUntilRefused(t, db, ErrFull)
	for range 5 {
		if err := db.Write(t.Context(), addNote(len(stored)+1)); err != nil && !errors.Is(err, ErrFull) {
			t.Errorf("write to the full disk: %v, want %v", err, ErrFull)
		} else if err == nil {
			stored = append(stored, len(stored)+1) // a checkpoint made room in the log
		}
	}
	if got := notes(t, db); !slices.Equal(got, stored) {
		t.Errorf("full disk gives %d notes, want %d", len(got), len(stored))
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for n := len(stored) + 1; n <= 10+len(stored); n++ {
		if err := db.Write(t.Context(), addNote(n)); err != nil {
			t.Errorf("write once there is room: %v", err)
		}
	}
	if err := errors.Join(db.Check(t.Context()), db.Close()); err != nil {
		t.Error(err)
	}
	db = openTest(t, path, options())
	if got := notes(t, db); len(got) != len(stored)+10 {
		t.Errorf("reopened store has %d notes, want %d", len(got), len(stored)+10)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// childLimit writes until the log reaches the largest size that this process may give a file. The write that
// fails, and all after it, must say that the store has failed, and reads must go on.
func childLimit(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	db, err := Open(ctx, path, options())
	if err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: 300_000, Max: 300_000}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for n := 1; err == nil && n < 1000; n++ {
		if err = db.Write(ctx, addNote(n)); err == nil {
			fmt.Println("ok", n)
		}
	}
	for range 3 {
		if again := db.Write(ctx, addNote(2000)); !errors.Is(err, ErrStoreFailed) || !errors.Is(again, ErrStoreFailed) {
			return fmt.Errorf("got %w, then %w, want a failed store", err, again)
		}
	}
	var n int
	err = db.Read(ctx, func(tx *Tx) error { return tx.QueryRow("SELECT count(*) FROM note").Scan(&n) })
	fmt.Println("read", n)
	return errors.Join(err, db.Close())
}

// TestWriteError makes a write to the log fail in the middle.
func TestWriteError(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	acknowledged, rest := acks(t, startChild(t, "limit", path))
	if want := fmt.Sprintf("read %d", len(acknowledged)); len(rest) != 1 || rest[0] != want {
		t.Errorf("child says %q, want %q", rest, want)
	}
	if len(acknowledged) == 0 {
		t.Error("nothing was acknowledged before the error")
	}
	checkThere(t, openTest(t, path, options()), acknowledged)
}

// acks reads a child to its end: the numbers it acknowledged, and its other lines.
func acks(t *testing.T, c *child) (numbers []int, rest []string) {
	t.Helper()
	for line := c.next(); line != ""; line = c.next() {
		text, ok := strings.CutPrefix(line, "ok ")
		if !ok {
			rest = append(rest, line)
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	_ = c.Wait() // its last line says how it ended
	return numbers, rest
}
