//go:build !windows

package broker

import "syscall"

// maxFiles is how many files and connections the system lets this process open; 0 when it does not say.
func maxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 0
	}
	return int(limit.Cur)
}

// errInUse is what listening on a taken port fails with.
const errInUse = syscall.EADDRINUSE
