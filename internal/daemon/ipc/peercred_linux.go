package ipc

import (
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/claudemesh/claudemesh/internal/daemon/registry"
)

// nobodyUID is never the uid of the daemon's user: connections whose other end is unknown are refused.
const nobodyUID = -1

// credentials are those of the process at the other end. A TCP connection has none: its token speaks for the user.
func credentials(c net.Conn) registry.Caller {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return registry.Caller{UID: os.Getuid()}
	}
	who := registry.Caller{UID: nobodyUID}
	raw, err := u.SyscallConn()
	if err != nil {
		return who
	}
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			who = registry.Caller{PID: int(cred.Pid), UID: int(cred.Uid)}
		}
	})
	if err != nil {
		return registry.Caller{UID: nobodyUID}
	}
	return who
}
