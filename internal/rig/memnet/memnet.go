// Package memnet is a network in memory, for tests: connections with buffers between names and addresses, over links that
// can be cut, stalled, slowed down and lied on. It runs in a testing/synctest bubble.
package memnet

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Network is a network in memory. Who is on it has a name (a home) or an address (a broker); between a name and an
// address lies one Link, which can be cut, stalled and slowed down. Its methods may be called from any goroutine.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*Listener
	links     map[way]*Link
}

type way struct{ from, to string }

// New returns a network without anybody on it.
func New() *Network {
	return &Network{listeners: map[string]*Listener{}, links: map[way]*Link{}}
}

// Link is the way between a name and an address.
func (n *Network) Link(from, to string) *Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[way{from, to}]
	if l == nil {
		l = &Link{}
		l.wake.L = &l.mu
		n.links[way{from, to}] = l
	}
	return l
}

// Listen takes an address, host:port, until the listener is closed.
func (n *Network) Listen(addr string) (*Listener, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "memory", Err: syscall.EADDRINUSE}
	}
	l := &Listener{net: n, addr: net.TCPAddrFromAddrPort(at), came: make(chan *end), over: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

// Listener is the listening side of one process (net.Listener).
type Listener struct {
	process
	net  *Network
	addr *net.TCPAddr
	came chan *end
	over chan struct{}
	once sync.Once
}

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case e := <-l.came:
		return e, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// Close gives the address back. What was accepted stays.
func (l *Listener) Close() error {
	l.leave()
	l.once.Do(func() { close(l.over) })
	return nil
}

// leave gives the address back.
func (l *Listener) leave() {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	if l.net.listeners[l.addr.String()] == l {
		delete(l.net.listeners, l.addr.String())
	}
}

// Addr is the address.
func (l *Listener) Addr() net.Addr { return l.addr }

// Kill ends the process, for all others: nobody reaches it, and all it accepted ends.
func (l *Listener) Kill() {
	l.leave()
	l.kill()
}

// Port is the dialling side of one process.
type Port struct {
	process
	net  *Network
	name string
}

// Port gives a process of a name its way into the network.
func (n *Network) Port(name string) *Port { return &Port{net: n, name: name} }

// Dial connects to an address (uplink.DialFunc). While the link is stalled it waits, until ctx ends.
func (p *Port) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	link := p.net.Link(p.name, addr)
	if err := link.passable(ctx); err != nil {
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: err}
	}
	p.net.mu.Lock()
	to := p.net.listeners[addr]
	p.net.mu.Unlock()
	if to == nil {
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: syscall.ECONNREFUSED}
	}
	here, there := link.connect(to.addr)
	if !p.add(here) || !to.add(there) {
		_ = here.Close() // one of the two processes has ended
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: syscall.ECONNREFUSED}
	}
	select {
	case to.came <- there:
		return here, nil
	case <-to.over:
		_ = here.Close() // nobody has seen it
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		_ = here.Close() // as above
		return nil, ctx.Err()
	}
}

// Kill ends the process: its connections end as the system ends those of a process that died.
func (p *Port) Kill() { p.kill() }

// process is the connections that end when a process does.
type process struct {
	mu   sync.Mutex
	dead bool
	ends []*end
}

func (p *process) add(e *end) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		p.ends = append(p.ends, e)
	}
	return !p.dead
}

func (p *process) kill() {
	p.mu.Lock()
	p.dead = true
	ends := p.ends
	p.mu.Unlock()
	for _, e := range ends {
		_ = e.Close() // never fails
	}
}

// Direction is one of the two of a link.
type Direction int

// The directions, as the dialling side sees them.
const (
	Up Direction = iota
	Down
)

// Link is a way through the network, with what happens to connections on it.
type Link struct {
	mu      sync.Mutex
	wake    sync.Cond // of everything on the link
	cut     bool
	stalled [2]bool
	delay   func() time.Duration
	tap     Tap
	answer  func(head string) string
	tapping sync.Mutex // held while the tap runs
	ends    []*end     // of connections that are not over
	conns   int        // that there were
}

// Cut ends the connections, and refuses new ones until Heal.
func (l *Link) Cut() { l.change(func() { l.cut = true; l.reset() }) }

// Reset ends the connections.
func (l *Link) Reset() { l.change(l.reset) }

// Stall holds back whatever goes in one direction, without a word to anybody: bytes, the end of connections, and new
// connections. Heal lets it go on, as the packets of TCP are sent again.
func (l *Link) Stall(d Direction) { l.change(func() { l.stalled[d] = true }) }

// Heal undoes Cut, Stall and Delay.
func (l *Link) Heal() { l.change(func() { l.cut, l.stalled, l.delay = false, [2]bool{}, nil }) }

// Delay asks for each write how long it takes to arrive. Nothing overtakes.
func (l *Link) Delay(of func() time.Duration) { l.change(func() { l.delay = of }) }

// Tap lets every text frame of a WebSocket go through a function, one at a time; nil ends it. The function may change
// the link.
func (l *Link) Tap(t Tap) { l.change(func() { l.tap = t }) }

// Answer lets a function change the head of the answer to each handshake, up to its empty line; nil ends it.
func (l *Link) Answer(change func(head string) string) { l.change(func() { l.answer = change }) }

// taps are what changes bytes on their way; both may be nil.
type taps struct {
	frame Tap
	head  func(string) string
}

func (l *Link) tapped() taps {
	l.mu.Lock()
	defer l.mu.Unlock()
	tap := l.tap
	if tap == nil {
		return taps{nil, l.answer}
	}
	return taps{func(f Frame) [][]byte {
		l.tapping.Lock()
		defer l.tapping.Unlock()
		return tap(f)
	}, l.answer}
}

func (l *Link) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.wake.Broadcast()
}

// reset ends every connection at both ends; what has come there can be read still. The lock is held.
func (l *Link) reset() {
	for _, e := range l.ends {
		e.reset = true
		e.came = slices.DeleteFunc(e.came, func(c chunk) bool { return l.stalled[e.peer.out] || time.Now().Before(c.due) })
	}
	l.ends = nil
}

// passable waits until the link carries a new connection in both directions.
func (l *Link) passable(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { l.change(func() {}) })()
	l.mu.Lock()
	defer l.mu.Unlock()
	for (l.stalled[Up] || l.stalled[Down]) && !l.cut && ctx.Err() == nil {
		l.wake.Wait()
	}
	if l.cut {
		return syscall.ENETUNREACH
	}
	return ctx.Err()
}

// connect makes the two ends of a connection.
func (l *Link) connect(to *net.TCPAddr) (dialled, accepted *end) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns++
	from := &net.TCPAddr{IP: to.IP, Port: 1024 + l.conns}
	dialled = &end{link: l, out: Up, local: from, remote: to, frames: frames{conn: l.conns, direction: Up}}
	accepted = &end{link: l, out: Down, local: to, remote: from, frames: frames{conn: l.conns, direction: Down}}
	dialled.peer, accepted.peer = accepted, dialled
	l.ends = append(l.ends, dialled, accepted)
	return dialled, accepted
}
