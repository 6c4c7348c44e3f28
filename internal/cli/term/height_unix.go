//go:build unix

package term

import (
	"os"

	"golang.org/x/sys/unix"
)

// height is the height of a terminal in lines; 0 where it has none.
func height(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Row)
}
