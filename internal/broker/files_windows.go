package broker

import "syscall"

// maxFiles is 0: this system has no bound that matters.
func maxFiles() int { return 0 }

// errInUse is what listening on a taken port fails with: WSAEADDRINUSE.
const errInUse = syscall.Errno(10048)
