package term

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a terminal of the system.
func terminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() }) // nobody reads it
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() }) // as above
	return slave
}

// TestTerminal: colour is shown on a terminal, unless the environment says no; the stream is a terminal in any case.
func TestTerminal(t *testing.T) {
	t.Parallel()
	tty := terminal(t)
	if s := NewStream(tty, false); !s.TTY || s.Paint(Red, "x") != "\x1b[31mx\x1b[0m" {
		t.Errorf("got TTY %t and %q, want a terminal with colour", s.TTY, s.Paint(Red, "x"))
	}
	if s := NewStream(tty, true); !s.TTY || s.Paint(Red, "x") != "x" {
		t.Errorf("got TTY %t and %q, want a terminal without colour", s.TTY, s.Paint(Red, "x"))
	}
}
