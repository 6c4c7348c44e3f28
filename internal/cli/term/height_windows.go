package term

import (
	"os"

	"golang.org/x/sys/windows"
)

// height is the height of a console's window in lines; 0 where it has none.
func height(f *os.File) int {
	var info windows.ConsoleScreenBufferInfo
	if err := windows.GetConsoleScreenBufferInfo(windows.Handle(f.Fd()), &info); err != nil {
		return 0
	}
	return int(info.Window.Bottom-info.Window.Top) + 1
}
