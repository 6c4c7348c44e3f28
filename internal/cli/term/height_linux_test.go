package term

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHeight(t *testing.T) {
	t.Parallel()
	tty := terminal(t)
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	if got := NewStream(tty, false).Height(); got != 24 {
		t.Errorf("got %d rows, want 24", got)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() // of no interest
	if got := NewStream(file, false).Height(); got != 0 {
		t.Errorf("got %d rows of a file, want 0", got)
	}
}
