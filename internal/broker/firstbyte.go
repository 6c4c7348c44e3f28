package broker

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// bothWays answers TLS, and plain HTTP to this machine alone, on one port: what a connection speaks shows in its first
// byte (design F1).
type bothWays struct {
	net.Listener
	config *tls.Config
}

// Accept does not wait for the first byte: that is the business of whoever reads the connection, within its own time.
func (b bothWays) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &undecided{Conn: conn, config: b.config}, nil
}

// undecided is a connection that becomes one of TLS or of plain text with its first Read, which comes before any
// Write and any second Read.
type undecided struct {
	net.Conn
	config *tls.Config
	chosen atomic.Pointer[choice]
}

// choice is what a connection speaks.
type choice struct {
	conn   net.Conn
	secure bool
}

// recordHandshake is the first byte of every TLS connection.
const recordHandshake = 0x16

// notHere is the answer to plain HTTP from another machine.
const notHere = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks https to other machines.\n"

// Read decides what the connection speaks, the first time.
func (u *undecided) Read(p []byte) (int, error) {
	c := u.chosen.Load()
	if c == nil {
		var err error
		if c, err = u.choose(); err != nil {
			return 0, err
		}
		u.chosen.Store(c)
	}
	return c.conn.Read(p)
}

func (u *undecided) choose() (*choice, error) {
	var first [1]byte
	if _, err := io.ReadFull(u.Conn, first[:]); err != nil {
		return nil, err
	}
	plain := &begun{Conn: u.Conn, first: first[:]}
	if first[0] == recordHandshake {
		return &choice{tls.Server(plain, u.config), true}, nil
	}
	if peer, err := netip.ParseAddrPort(u.RemoteAddr().String()); err != nil || !peer.Addr().Unmap().IsLoopback() {
		_, _ = u.Conn.Read(make([]byte, 4096)) // closing with an unread request would reset the answer
		_, _ = io.WriteString(u.Conn, notHere) // whoever it is may be gone
		return nil, mesh.Errorf(mesh.InsecureURL, "plain text from another machine")
	}
	return &choice{plain, false}, nil
}

// Write writes as the connection speaks.
func (u *undecided) Write(p []byte) (int, error) {
	c := u.chosen.Load()
	if c == nil {
		return 0, io.ErrNoProgress // nothing was asked yet
	}
	return c.conn.Write(p)
}

// Close closes the connection, by TLS where it speaks that.
func (u *undecided) Close() error {
	if c := u.chosen.Load(); c != nil {
		return c.conn.Close()
	}
	return u.Conn.Close()
}

// secure reports whether a connection speaks TLS.
func secure(conn net.Conn) bool {
	u, ok := conn.(*undecided)
	if !ok {
		return false
	}
	c := u.chosen.Load()
	return c != nil && c.secure
}

// begun is a connection whose first bytes were read already.
type begun struct {
	net.Conn
	first []byte
}

// Read gives the first bytes first.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.first)
	b.first = b.first[n:]
	return n, nil
}
