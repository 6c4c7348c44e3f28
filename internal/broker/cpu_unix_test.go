//go:build unix

package broker

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used of the processors, clients of a benchmark included: unlike the time that
// passes it says little of who else is busy.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
