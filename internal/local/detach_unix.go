//go:build unix

package local

import (
	"os/exec"
	"syscall"
)

// detach gives the child a session of its own, so that it survives the terminal.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
