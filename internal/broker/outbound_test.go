package broker

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// tape is a connection that records each write and can be held.
type tape struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
	gate   chan struct{} // a write waits for it; nil never waits
	closed chan struct{}
}

func newTape(held bool) *tape {
	t := &tape{closed: make(chan struct{})}
	if held {
		t.gate = make(chan struct{})
	}
	return t
}

func (t *tape) Write(p []byte) (int, error) {
	if t.gate != nil {
		select {
		case <-t.gate:
		case <-t.closed:
			return 0, net.ErrClosed
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes = append(t.writes, bytes.Clone(p))
	return len(p), nil
}

func (t *tape) Close() error { close(t.closed); return nil }

func TestWritesGatherWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := newTape(true)
		o := newOutbound(conn, newMetrics())
		done := make(chan ending, 1)
		o.Send([]byte("first"))
		go func() { done <- o.run() }()
		synctest.Wait() // it holds the first
		for i := range maxWriteFrames + 5 {
			o.Send([]byte(strconv.Itoa(i)))
		}
		o.Ping()
		o.Close(mesh.CloseGoingAway, "x")
		close(conn.gate)
		if end := <-done; end != (ending{mesh.CloseGoingAway, "x"}) {
			t.Errorf("got ending %+v", end)
		}
		o.settled()
		var sizes []int
		for _, w := range conn.writes {
			sizes = append(sizes, bytes.Count(w, []byte{0x80 | opText}))
		}
		if want := []int{1, maxWriteFrames, 5}; !slices.Equal(sizes, want) {
			t.Errorf("got writes of %v frames, want %v", sizes, want)
		}
		if !bytes.HasPrefix(conn.writes[1], []byte{0x80 | opPing, 0}) {
			t.Errorf("no ping before the second write: %x", conn.writes[1][:4])
		}
		if n := o.count.waiting.Load(); n != 0 {
			t.Errorf("%d bytes are counted as waiting, want 0", n)
		}
	})
}

func TestWritesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	conn := newTape(false)
	o := newOutbound(conn, newMetrics())
	big := bytes.Repeat([]byte("x"), maxWriteBytes-10)
	for range 3 {
		o.Send(big)
	}
	o.Send(bytes.Repeat([]byte("y"), 2*maxWriteBytes))
	o.Close(mesh.CloseNormal, "")
	o.run()
	o.settled()
	if len(conn.writes) != 4 {
		t.Errorf("got %d writes, want 4", len(conn.writes))
	}
}

func TestFramesAreReadBack(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 125, 126, 127, 0xffff, 0x10000, 100_000} {
		b := appendFrame(nil, bytes.Repeat([]byte("a"), n))
		head := map[bool]int{true: 2, false: 4}[n < 126]
		if n > 0xffff {
			head = 10
		}
		if b[0] != 0x81 || len(b) != head+n {
			t.Errorf("%d bytes: got a frame of %d bytes that begins %x", n, len(b), b[:head])
		}
	}
}

func TestFullBufferRefuses(t *testing.T) {
	t.Parallel()
	for name, frame := range map[string][]byte{"frames": []byte("x"), "bytes": make([]byte, 100_000)} {
		o := newOutbound(newTape(false), newMetrics())
		taken := 0
		for o.Send(frame) {
			taken++
		}
		if bytes := taken * len(frame); taken > maxWaitingFrames || bytes > maxWaitingBytes || taken < maxWaitingFrames && bytes+len(frame) <= maxWaitingBytes {
			t.Errorf("%s: %d frames of %d bytes were taken", name, taken, len(frame))
		}
		o.Close(mesh.CloseSlowConsumer, "")
		if n := o.count.waiting.Load(); n != 0 {
			t.Errorf("%s: %d bytes wait for a slow consumer, want 0", name, n)
		}
		if o.Send(frame) {
			t.Errorf("%s: a frame was taken after the end", name)
		}
		o.settled()
	}
	o := newOutbound(newTape(false), newMetrics())
	if !o.Send(make([]byte, maxWaitingBytes+1)) {
		t.Error("a large frame was refused though nothing waits")
	}
}

func TestBufferDoesNotGrowWhileItMoves(t *testing.T) {
	t.Parallel()
	o := newOutbound(newTape(false), newMetrics())
	for range 1000 {
		o.Send([]byte("x"))
	}
	for range 1000 {
		o.Send([]byte("x"))
		o.take()
		for range len(o.batch) - 1 {
			o.Send([]byte("x"))
		}
	}
	if n := cap(o.frames); n > 8*maxWaitingFrames {
		t.Errorf("the buffer grew to %d frames", n)
	}
}

func TestWrittenIsToldOfWhatWasWritten(t *testing.T) {
	t.Parallel()
	conn := newTape(false)
	o := newOutbound(conn, newMetrics())
	told := 0
	o.SendThen([]byte("x"), func() { told++; o.Send([]byte("from within")) })
	o.Send([]byte("x"))
	done := make(chan ending, 1)
	go func() { done <- o.run() }()
	o.Close(mesh.CloseNormal, "")
	<-done
	o.settled()
	if told != 1 {
		t.Errorf("told %d times, want 1", told)
	}

	broken := newOutbound(brokenConn{}, newMetrics())
	broken.SendThen([]byte("x"), func() { t.Error("told of a write that failed") })
	if end := broken.run(); end.code != cut {
		t.Errorf("got ending %+v, want none to tell", end)
	}
	broken.settled()
}

type brokenConn struct{ net.Conn }

func (brokenConn) Write([]byte) (int, error) { return 0, errors.New("broken") }
func (brokenConn) Close() error              { return nil }

func TestStuckConnectionIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := newTape(true)
		o := newOutbound(conn, newMetrics())
		o.Send([]byte("x"))
		done := make(chan ending, 1)
		go func() { done <- o.run() }()
		synctest.Wait() // it writes
		start := time.Now()
		o.Close(mesh.CloseSlowConsumer, "")
		<-done
		if took := time.Since(start); took != closeWait {
			t.Errorf("cut after %v, want %v", took, closeWait)
		}
	})
}
