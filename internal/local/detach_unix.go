//go:build unix

package local

import (
	"os/exec"
	"syscall"
)

// detach gives the child a session of its own, so that it survives the terminal.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// Terminate asks a process to end. A number that means more than one process, or the first of the system, is refused: it
// came from a file.
func Terminate(pid int) error {
	if pid <= 1 {
		return syscall.ESRCH
	}
	return syscall.Kill(pid, syscall.SIGTERM)
}
