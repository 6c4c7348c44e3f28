package broker

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
)

// Why a client's frame is refused by its header.
var (
	errTooBig   = errors.New("the message is longer than the limit")
	errUnmasked = errors.New("the frame is not masked")
)

// scanner follows the frame headers in a client's byte stream, so that a message over the limit is refused when its
// length is announced and not after its bytes were taken in. The WebSocket library counts only what has come.
type scanner struct {
	limitBytes atomic.Int64 // of one message, all its fragments together

	head  [headBytes]byte
	have  int   // bytes of head
	skip  int64 // payload of the current frame still to come
	total int64 // payload announced so far for the message
}

// headBytes is the longest header of a frame without its mask: flags, length, extended length (RFC 6455 5.2).
const headBytes = 10

const maskBytes = 4

// pass takes in what was read next and returns how much of it may be passed on, up to the first header that is
// refused, and why. What was held back is to be given again: the limit may have changed by then.
func (s *scanner) pass(b []byte) (int, error) {
	start, before := 0, s.have // of the header: where it begins in b, and what came of it earlier
	for i := 0; i < len(b); {
		if s.skip > 0 {
			n := min(s.skip, int64(len(b)-i))
			s.skip -= n
			i += int(n)
			continue
		}
		if s.have == 0 {
			start, before = i, 0
		}
		s.head[s.have] = b[i]
		s.have++
		i++
		if s.have < 2 || s.have < s.headLen() {
			continue
		}
		if err := s.frame(); err != nil {
			s.have = before
			return start, err
		}
		s.have = 0
	}
	return len(b), nil
}

// between reports whether what comes next begins a message.
func (s *scanner) between() bool { return s.have == 0 && s.skip == 0 && s.total == 0 }

// headLen is how long the header is, by its second byte.
func (s *scanner) headLen() int {
	switch s.head[1] & 0x7f {
	case 126:
		return 2 + 2
	case 127:
		return 2 + 8
	}
	return 2
}

// frame judges a whole header, and goes on behind it.
func (s *scanner) frame() error {
	fin, opcode := s.head[0]&0x80 != 0, s.head[0]&0x0f
	if s.head[1]&0x80 == 0 {
		return errUnmasked
	}
	length := uint64(s.head[1] & 0x7f)
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(s.head[2:]))
	case 127:
		length = binary.BigEndian.Uint64(s.head[2:])
	}
	limit, control := s.limitBytes.Load(), opcode >= 8 // control frames may stand between the fragments of a message
	if length > uint64(limit) || !control && s.total+int64(length) > limit {
		return errTooBig
	}
	s.skip = maskBytes + int64(length)
	switch {
	case control:
	case fin:
		s.total = 0
	default:
		s.total += int64(length)
	}
	return nil
}
