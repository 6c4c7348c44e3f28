package ipc

import (
	"net"
	"os"

	"github.com/claudemesh/claudemesh/internal/daemon/registry"
)

// credentials say that it is the user: the folder's access list keeps others out, and Windows does not tell the process.
func credentials(net.Conn) registry.Caller { return registry.Caller{UID: os.Getuid()} }
