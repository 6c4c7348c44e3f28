package memnet

import (
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// bufferBytes is what may be under way in one direction of a connection; at the bound writers wait.
const bufferBytes = 256 << 10

// end is one end of a connection (net.Conn). Link.mu guards what stands behind peer.
type end struct {
	link          *Link
	out           Direction // of what is written here
	local, remote net.Addr

	writing sync.Mutex // one write at a time; held over the tap
	frames  frames     // of what is written

	peer              *end
	came              []chunk // not read yet
	size              int     // of came
	closed, reset     bool
	readBy, writtenBy deadline
}

// chunk is one write on its way.
type chunk struct {
	data []byte
	due  time.Time
}

// Read takes what has come.
func (e *end) Read(p []byte) (int, error) {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	for {
		if n, err, ok := e.take(p); ok {
			return n, err
		}
		e.link.wake.Wait()
	}
}

// take is Read, if it need not wait.
func (e *end) take(p []byte) (n int, err error, ok bool) {
	switch {
	case e.closed:
		return 0, net.ErrClosed, true
	case e.readBy.over():
		return 0, os.ErrDeadlineExceeded, true
	case len(e.came) == 0 && e.reset:
		return 0, syscall.ECONNRESET, true
	case e.link.stalled[e.peer.out]:
		return 0, nil, false
	case len(e.came) == 0:
		return 0, io.EOF, e.peer.closed
	case time.Now().Before(e.came[0].due):
		return 0, nil, false
	}
	c := &e.came[0]
	n = copy(p, c.data)
	if c.data = c.data[n:]; len(c.data) == 0 {
		e.came = e.came[1:]
	}
	e.size -= n
	e.link.wake.Broadcast()
	return n, nil, true
}

// Write sends p, after the tap of the link. It returns when the bytes are under way.
func (e *end) Write(p []byte) (int, error) {
	e.writing.Lock()
	defer e.writing.Unlock()
	for data := range e.frames.pass(p, e.link.tapped()) {
		if err := e.send(data); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// send puts bytes on their way when there is room.
func (e *end) send(data []byte) error {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	for {
		switch {
		case e.closed:
			return net.ErrClosed
		case e.writtenBy.over():
			return os.ErrDeadlineExceeded
		case e.reset:
			return syscall.ECONNRESET
		case e.peer.closed && !e.link.stalled[e.out]:
			return syscall.EPIPE
		case e.peer.size < bufferBytes:
			e.peer.arrive(data)
			return nil
		}
		e.link.wake.Wait()
	}
}

// arrive puts bytes on their way to e.
func (e *end) arrive(data []byte) {
	c := chunk{data: slices.Clone(data)}
	if of := e.link.delay; of != nil {
		wait := of()
		c.due = time.Now().Add(wait)
		time.AfterFunc(wait, func() { e.link.change(func() {}) })
	}
	if n := len(e.came); n > 0 && c.due.Before(e.came[n-1].due) {
		c.due = e.came[n-1].due
	}
	e.came = append(e.came, c)
	e.size += len(data)
	e.link.wake.Broadcast()
}

// Close ends the connection. The other end reads what was written, then io.EOF.
func (e *end) Close() error {
	e.link.change(func() {
		e.closed, e.came, e.size = true, nil, 0
		e.readBy.set(e, time.Time{})
		e.writtenBy.set(e, time.Time{})
		e.link.ends = slices.DeleteFunc(e.link.ends, func(o *end) bool { return o == e })
	})
	return nil
}

// LocalAddr is the address of this end.
func (e *end) LocalAddr() net.Addr { return e.local }

// RemoteAddr is that of the other.
func (e *end) RemoteAddr() net.Addr { return e.remote }

// SetDeadline sets both deadlines.
func (e *end) SetDeadline(t time.Time) error {
	e.link.change(func() { e.readBy.set(e, t); e.writtenBy.set(e, t) })
	return nil
}

// SetReadDeadline bounds reads.
func (e *end) SetReadDeadline(t time.Time) error {
	e.link.change(func() { e.readBy.set(e, t) })
	return nil
}

// SetWriteDeadline bounds writes.
func (e *end) SetWriteDeadline(t time.Time) error {
	e.link.change(func() { e.writtenBy.set(e, t) })
	return nil
}

// deadline ends the waiting of an end at a time; zero means never.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) over() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set changes the deadline. The lock of the link is held.
func (d *deadline) set(e *end, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, func() { e.link.change(func() {}) })
	}
}
