package broker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// listen opens the port: for TLS where there is a certificate.
func listen(ctx context.Context, set config.Broker, given net.Listener, cert *certificate, count *metrics) (net.Listener, error) {
	l := given
	if l == nil {
		var err error
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", set.Listen); err != nil {
			return nil, refusedPort(set.Listen, err)
		}
	}
	l = newDoorman(l, set, count)
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

// spareVisits is let in from one address beside its WebSockets, for plain requests.
const spareVisits = 64

// doorman closes at once what comes beyond the bounds, of all and of one address, so that strangers cannot use up the
// file descriptors. A proxy brings the connections of many, and this machine may harm itself.
type doorman struct {
	net.Listener
	count    *metrics
	proxies  proxies
	perVisit int

	mu   sync.Mutex
	free int
	open map[netip.Prefix]int // connections of strangers
}

func newDoorman(l net.Listener, set config.Broker, count *metrics) *doorman {
	trusted, _ := set.Proxies() // was checked when the settings were loaded
	return &doorman{
		Listener: l, count: count, proxies: trusted, perVisit: set.AddressConnections + spareVisits,
		free: places(set.Connections, maxFiles()), open: map[netip.Prefix]int{},
	}
}

// Accept waits for a connection within the bounds.
func (d *doorman) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := d.stranger(conn)
		if d.enter(from) {
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { d.leave(from) })}, nil
		}
		_ = conn.Close() // it was never read
	}
}

// stranger is whom a connection is counted for; the zero prefix is nobody in particular.
func (d *doorman) stranger(conn net.Conn) netip.Prefix {
	addr, ok := addrOf(conn.RemoteAddr())
	if !ok || addr.IsLoopback() || d.proxies.trust(addr) {
		return netip.Prefix{}
	}
	from, _ := neighbourhood(addr) // cannot fail: it is an address
	return from
}

// enter takes a place, if there is one.
func (d *doorman) enter(from netip.Prefix) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.free <= 0:
		d.count.reached(config.BoundConnections)
		return false
	case from.IsValid() && d.open[from] >= d.perVisit:
		d.count.reached(config.BoundAddressConnections)
		return false
	}
	d.free--
	if from.IsValid() {
		d.open[from]++
	}
	return true
}

func (d *doorman) leave(from netip.Prefix) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free++
	if !from.IsValid() {
		return
	}
	if d.open[from]--; d.open[from] <= 0 {
		delete(d.open, from)
	}
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
