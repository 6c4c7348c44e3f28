//go:build unix

package daemon

import (
	"net"
	"syscall"
)

// listenPrivate binds a socket that only this user can open, from its first moment (daemon 7). The umask belongs to
// the whole process, which at this point has no other goroutine that makes files.
func listenPrivate(path string) (net.Listener, error) {
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}
