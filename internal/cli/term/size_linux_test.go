package term

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSize(t *testing.T) {
	t.Parallel()
	tty := terminal(t)
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	if columns, lines := NewStream(tty, false).Size(); columns != 80 || lines != 24 {
		t.Errorf("got %d columns and %d lines, want 80 and 24", columns, lines)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() // of no interest
	if columns, lines := NewStream(file, false).Size(); columns != 0 || lines != 0 {
		t.Errorf("got %d columns and %d lines of a file, want none", columns, lines)
	}
}
