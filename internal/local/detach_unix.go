//go:build unix

package local

import (
	"os/exec"
	"syscall"
)

// detach gives the child a session of its own, so that it survives the terminal.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// Terminate asks a process to end.
func Terminate(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }
