package broker

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// listen opens the port: for TLS where there is a certificate.
func listen(ctx context.Context, set config.Broker, given net.Listener, cert *certificate) (net.Listener, error) {
	l := given
	if l == nil {
		var err error
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", set.Listen); err != nil {
			return nil, refusedPort(set.Listen, err)
		}
	}
	l = &doorman{Listener: l, free: places(set.Connections, maxFiles())}
	if cert != nil {
		l = bothWays{Listener: l, config: cert.config()}
	}
	return l, nil
}

func refusedPort(address string, err error) error {
	if errors.Is(err, errInUse) {
		return mesh.Errorf(mesh.PortInUse, "listen on %s: another program does", address)
	}
	return mesh.Errorf(mesh.IOError, "listen on %s: %w", address, err)
}

const (
	spareConnections = 1024 // let in beside the WebSockets: plain requests, and those that have not said hello
	ownFiles         = 128  // kept for the database and what else a broker opens
)

// places is how many connections are let in, where the system allows so many files (0: any number).
func places(connections, files int) int {
	n := connections + spareConnections
	if files > 0 {
		n = min(n, max(files-ownFiles, 1))
	}
	return n
}

// doorman closes at once what comes beyond the bound, so that strangers cannot use up the file descriptors.
type doorman struct {
	net.Listener
	mu   sync.Mutex
	free int
}

// Accept waits for a connection within the bound.
func (d *doorman) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if d.take(-1) {
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { d.take(1) })}, nil
		}
		_ = conn.Close() // it was never read
	}
}

// take changes the free places by n, if that leaves none owed.
func (d *doorman) take(n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free+n < 0 {
		return false
	}
	d.free += n
	return true
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	leave func()
}

// Close closes the connection; again does nothing more.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
