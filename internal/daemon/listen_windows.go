package daemon

import "net"

// listenPrivate binds the socket; the folder's access list keeps others out.
func listenPrivate(path string) (net.Listener, error) { return net.Listen("unix", path) }
