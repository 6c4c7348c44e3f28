package broker

import (
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Bounds of what may wait for one connection: twice what the queue pushes without acknowledgement, for the answers
// beside it. At either, the connection is a slow consumer and is closed; its messages stay in the queue. A frame larger
// than the second is taken when nothing waits.
const (
	maxWaitingFrames = 2048
	maxWaitingBytes  = 8 << 20
)

// A write carries at most this much of what waits, so that control frames get their turn (performance 2.1).
const (
	maxWriteFrames = 64
	maxWriteBytes  = 64 << 10
)

// closeWait bounds how long a connection may take to end once it is asked to: to take what waits, and to answer the
// close frame.
const closeWait = 5 * time.Second

// banWait is closeWait for who is banned: nothing of its is left after a second.
const banWait = 500 * time.Millisecond

// outbound is what waits to be written to one connection. It may be used from any goroutine; one writes.
type outbound struct {
	conn  net.Conn
	count *metrics

	mu     sync.Mutex
	frames []queued
	head   int // frames before it were taken
	bytes  int // of frames and of what is being written
	ping   bool
	end    *ending
	kill   *time.Timer // cuts a connection that does not end
	wake   chan struct{}

	batch []queued // what is being written; the writer's own
}

// queued is a frame that waits.
type queued struct {
	frame   []byte
	written func() // nil, or to be called after the write
}

// ending is why a connection is closed.
type ending struct {
	code   mesh.CloseCode
	reason string
}

func newOutbound(conn net.Conn, count *metrics) *outbound {
	return &outbound{conn: conn, count: count, wake: make(chan struct{}, 1)}
}

// Send queues a frame. It never blocks; false means that the connection takes no more: it is too slow, or closing.
func (o *outbound) Send(frame []byte) bool { return o.SendThen(frame, nil) }

// SendThen is Send; written is called after the frame was handed to the socket, and never when that failed.
func (o *outbound) SendThen(frame []byte, written func()) bool {
	o.mu.Lock()
	full := o.bytes > 0 && (o.bytes+len(frame) > maxWaitingBytes || len(o.frames)-o.head >= maxWaitingFrames)
	ok := !full && o.end == nil
	if ok {
		if len(o.frames) == cap(o.frames) && o.head > 0 { // room before it grows
			n := copy(o.frames, o.frames[o.head:])
			clear(o.frames[n:])
			o.frames, o.head = o.frames[:n], 0
		}
		o.frames = append(o.frames, queued{frame, written})
		o.bytes += len(frame)
		o.count.waiting.Add(int64(len(frame)))
	}
	o.mu.Unlock()
	if ok {
		o.signal()
	}
	return ok
}

// Ping asks for a ping with the next write.
func (o *outbound) Ping() {
	o.mu.Lock()
	o.ping = true
	o.mu.Unlock()
	o.signal()
}

// Close ends the connection after what waits was written; what waits for a slow consumer, or for nobody, is dropped.
// The first call counts.
func (o *outbound) Close(code mesh.CloseCode, reason string) {
	o.mu.Lock()
	if o.end == nil {
		o.end = &ending{code, reason}
		wait := closeWait
		if code == mesh.CloseBanned {
			wait = banWait
		}
		o.kill = time.AfterFunc(wait, func() { _ = o.conn.Close() }) // nobody is left to tell
		if code == mesh.CloseSlowConsumer {
			o.count.slow.add("")
		}
		if code == mesh.CloseSlowConsumer || code == cut {
			o.drop()
		}
	}
	o.mu.Unlock()
	o.signal()
}

// cut is the code of an ending that nobody needs to be told of.
const cut mesh.CloseCode = 0

// settled says that the connection is over and needs no killing.
func (o *outbound) settled() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kill != nil {
		o.kill.Stop()
	}
}

// Closing reports whether Close was called.
func (o *outbound) Closing() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.end != nil
}

// TooSlow reports whether the connection was closed because it did not take what waits.
func (o *outbound) TooSlow() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.end != nil && o.end.code == mesh.CloseSlowConsumer
}

// drop forgets what waits. The lock is held.
func (o *outbound) drop() {
	n := 0
	for _, f := range o.frames[o.head:] {
		n += len(f.frame)
	}
	o.gone(n)
	o.frames, o.head = nil, 0
}

// gone counts n bytes less. The lock is held.
func (o *outbound) gone(n int) {
	o.bytes -= n
	o.count.waiting.Add(-int64(n))
}

func (o *outbound) signal() {
	select {
	case o.wake <- struct{}{}:
	default: // it will look again anyway
	}
}

// run writes what is queued until Close was called and everything is written, and returns how to end. It also ends
// when a write fails; then the connection is cut.
func (o *outbound) run() ending {
	defer func() {
		o.mu.Lock()
		o.drop()
		o.mu.Unlock()
	}()
	for {
		batch, ping, end := o.take()
		if len(batch) == 0 && !ping {
			if end != nil {
				return *end
			}
			<-o.wake
			continue
		}
		if err := o.write(batch, ping); err != nil {
			o.Close(cut, "") // take no more
			return ending{code: cut}
		}
	}
}

// take moves what the next write carries into o.batch.
func (o *outbound) take() (batch []queued, ping bool, end *ending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.batch)
	o.batch = o.batch[:0]
	for size := 0; o.head < len(o.frames) && len(o.batch) < maxWriteFrames; o.head++ {
		f := o.frames[o.head]
		if size += len(f.frame); size > maxWriteBytes && len(o.batch) > 0 {
			break
		}
		o.batch, o.frames[o.head] = append(o.batch, f), queued{}
	}
	if o.head == len(o.frames) {
		o.frames, o.head = o.frames[:0], 0
	}
	ping, o.ping = o.ping, false
	return o.batch, ping, o.end
}

// buffers are what writes are put together in.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, maxWriteBytes+maxWriteFrames*headBytes); return &b }}

// write sends a batch in one call. The connection keeps calls apart, so a pong of the library cannot get between.
func (o *outbound) write(batch []queued, ping bool) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	b, size := (*buf)[:0], 0
	if ping {
		b = append(b, 0x80|opPing, 0)
	}
	for _, f := range batch {
		b = appendFrame(b, f.frame)
		size += len(f.frame)
	}
	_, err := o.conn.Write(b)
	o.mu.Lock()
	o.gone(size)
	o.mu.Unlock()
	for _, f := range batch {
		if f.written != nil && err == nil {
			f.written()
		}
	}
	return err
}

// Opcodes of RFC 6455 5.2.
const (
	opText = 1
	opPing = 9
)

// appendFrame writes a whole text message as one frame of a server: not fragmented, not masked.
func appendFrame(b, payload []byte) []byte {
	b = append(b, 0x80|opText)
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}
