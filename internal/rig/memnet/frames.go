package memnet

import (
	"bytes"
	"encoding/binary"
	"iter"

	"github.com/claudemesh/claudemesh/internal/wire"
)

// Frame is one text frame on its way.
type Frame struct {
	Conn      int // connection, counted on its link from 1
	Direction Direction
	Type      string
	Data      []byte

	then *func()
}

// Tap sees a frame and returns what goes on instead: nothing, it, others.
type Tap func(Frame) [][]byte

// Pass is the answer of a Tap that changes nothing.
func (f Frame) Pass() [][]byte { return [][]byte{f.Data} }

// Then calls a function when what the Tap returns has arrived, before its writer goes on.
func (f Frame) Then(call func()) { *f.then = call }

// frames cuts one direction of a connection into WebSocket frames (RFC 6455 5.2), if it is one. Our ends fragment and
// compress nothing.
type frames struct {
	conn      int
	direction Direction
	begun     bool // its head has passed
	socket    bool
	rest      []byte // of a frame that is not whole
}

// pass takes what is written and yields what goes on, frame by frame, each after it went through the tap.
func (f *frames) pass(data []byte, t taps) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if f.begun && !f.socket {
			yield(data)
			return
		}
		f.rest = append(f.rest, data...)
		if !f.begun && !f.begin(t.head, yield) {
			return
		}
		for raw, text, payload := cutFrame(f.rest); raw != nil; raw, text, payload = cutFrame(f.rest) {
			f.rest = f.rest[len(raw):]
			if !text || t.frame == nil {
				if !yield(raw) {
					return
				}
				continue
			}
			if !f.tapped(payload, t.frame, yield) {
				return
			}
		}
	}
}

// tapped yields the frames that go on instead of one.
func (f *frames) tapped(payload []byte, tap Tap, yield func([]byte) bool) bool {
	head, _ := wire.ReadHead(payload) // what is no frame of ours has no type
	then := func() {}
	for _, changed := range tap(Frame{f.conn, f.direction, head.Type, payload, &then}) {
		if !yield(appendFrame(nil, changed, f.direction == Up)) {
			return false
		}
	}
	then()
	return true
}

// openings are how the heads of a handshake begin.
var openings = [...]string{Up: "GET ", Down: "HTTP/1.1 101 "}

// begin lets the head of a handshake pass, when it is whole, and tells whether frames follow it.
func (f *frames) begin(change func(string) string, yield func([]byte) bool) bool {
	opening := openings[f.direction]
	n := min(len(opening), len(f.rest))
	if string(f.rest[:n]) != opening[:n] {
		f.begun = true
		yield(f.rest)
		return false
	}
	at := bytes.Index(f.rest, []byte("\r\n\r\n"))
	if at < 0 {
		return false
	}
	head := f.rest[:at+4]
	f.begun, f.socket, f.rest = true, true, f.rest[at+4:]
	if change != nil && f.direction == Down {
		head = []byte(change(string(head)))
	}
	return yield(head)
}

// cutFrame gives the first frame of b, or nil while it is not whole.
func cutFrame(b []byte) (raw []byte, text bool, payload []byte) {
	if len(b) < 2 {
		return nil, false, nil
	}
	head, size := 2, uint64(b[1]&0x7f)
	switch size {
	case 126:
		head = 4
	case 127:
		head = 10
	}
	masked := b[1]&0x80 != 0
	if masked {
		head += 4
	}
	if len(b) < head {
		return nil, false, nil
	}
	switch size {
	case 126:
		size = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		size = binary.BigEndian.Uint64(b[2:])
	}
	if uint64(len(b)-head) < size {
		return nil, false, nil
	}
	raw = b[:head+int(size)]
	payload = bytes.Clone(raw[head:])
	if masked {
		for i := range payload {
			payload[i] ^= raw[head-4+i%4]
		}
	}
	return raw, b[0] == 0x81, payload
}

// appendFrame writes a text frame; a masked one has the mask 0.
func appendFrame(b, payload []byte, masked bool) []byte {
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	b = append(b, 0x81)
	switch n := len(payload); {
	case n < 126:
		b = append(b, mask|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	if masked {
		b = append(b, 0, 0, 0, 0)
	}
	return append(b, payload...)
}
