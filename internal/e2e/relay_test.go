//go:build unix

package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// way is what a relay does to the bytes of one direction.
type way int

// The ways.
const (
	pass    way = iota
	hold        // they stay with their writer until the relay is healed
	swallow     // they are lost, and so is their connection when the relay is healed
	dribble     // they go on one by one, for a while, and then as they come
	slow        // each piece of them takes its time
)

// relay is the line between one home and its broker: what it carries can be cut, held up, lost and slowed down, in either
// direction. Index 0 of what it has twice is what the home says, 1 what it hears.
type relay struct {
	to string

	mu    sync.Mutex
	cut   bool // nobody gets through
	ways  [2]way
	turn  chan struct{} // closed when the ways change
	pipes map[*pipe]bool
}

// pipe is a connection through a relay.
type pipe struct {
	near, far net.Conn
	lost      bool // bytes of it were swallowed
}

// dribbled is how many bytes of a piece go one by one, and pause how long a slow piece waits.
const (
	dribbled = 300
	pause    = 15 * time.Millisecond
)

// newRelay listens for a home, and ends with the test.
func newRelay(t testing.TB, to string) (r *relay, address string) {
	t.Helper()
	ln, err := net.Listen("tcp", freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	r = &relay{to: to, turn: make(chan struct{}), pipes: map[*pipe]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { r.serve(near) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close() // once
		r.set(pass, pass)
		r.reset()
		all.Wait()
	})
	return r, ln.Addr().String()
}

// serve carries a connection until one end ends it.
func (r *relay) serve(near net.Conn) {
	far, err := net.Dial("tcp", r.to)
	if err != nil {
		_ = near.Close() // as if nobody listened
		return
	}
	p := &pipe{near: near, far: far}
	r.mu.Lock()
	refused := r.cut
	r.pipes[p] = true
	r.mu.Unlock()
	if refused {
		p.close()
	}
	var both sync.WaitGroup
	both.Go(func() { r.carry(p, 0, far, near) })
	both.Go(func() { r.carry(p, 1, near, far) })
	both.Wait()
	r.mu.Lock()
	delete(r.pipes, p)
	r.mu.Unlock()
}

// close ends both ends at once: what is on its way is lost.
func (p *pipe) close() {
	for _, c := range []net.Conn{p.near, p.far} {
		_ = c.(*net.TCPConn).SetLinger(0) // it may be closed
		_ = c.Close()
	}
}

// carry takes one direction of a connection from its writer to its reader.
func (r *relay) carry(p *pipe, direction int, to io.Writer, from io.Reader) {
	defer p.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !r.deliver(p, direction, to, buf[:n]) || err != nil {
			return
		}
	}
}

// deliver brings one piece to the reader, in the way of the moment.
func (r *relay) deliver(p *pipe, direction int, to io.Writer, piece []byte) bool {
	for {
		r.mu.Lock()
		now, turn := r.ways[direction], r.turn
		p.lost = p.lost || now == swallow
		r.mu.Unlock()
		switch now {
		case swallow:
			return true
		case hold:
			<-turn
			continue
		case slow:
			<-time.After(pause)
		case dribble:
			for n := 0; n < dribbled && len(piece) > 1; n++ {
				if _, err := to.Write(piece[:1]); err != nil {
					return false
				}
				piece = piece[1:]
			}
		}
		_, err := to.Write(piece)
		return err == nil
	}
}

// set gives the ways of both directions, and lets go of what was held.
func (r *relay) set(up, down way) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ways = [2]way{up, down}
	close(r.turn)
	r.turn = make(chan struct{})
}

// reset breaks every connection, and with cut also those that come.
func (r *relay) reset() { r.breakIf(func(*pipe) bool { return true }) }

func (r *relay) breakIf(which func(*pipe) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.pipes {
		if which(p) {
			p.close()
		}
	}
}

// part takes the line away.
func (r *relay) part() {
	r.mu.Lock()
	r.cut = true
	r.mu.Unlock()
	r.reset()
}

// heal makes the line whole. Connections of which something was lost do not live on.
func (r *relay) heal() {
	r.mu.Lock()
	r.cut = false
	r.mu.Unlock()
	r.set(pass, pass)
	r.breakIf(func(p *pipe) bool { return p.lost })
}
