package broker

import (
	"bytes"
	"encoding/binary"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// quickAcks takes client_acks out of a client's byte stream before the WebSocket library sees them. They are half of all
// frames where much is delivered, many come at once, and nothing is answered to them. It knows one form, which is what
// clients write; everything else, and everything behind it in what was read, goes the usual way.
type quickAcks struct {
	ready func() bool // the connection has said hello
	serve func([]protocol.ClientAckRequest)

	plain []byte // payloads
	spans []ackSpan
}

// ackSpan is where the ids of one acknowledgement stand.
type ackSpan struct{ client, broker span }

type span struct{ from, to int }

// maxQuickBytes is more than any client_ack with ids as the protocol has them.
const maxQuickBytes = 512

// take serves the acknowledgements at the beginning of b, which begins with a frame, and returns how long they are.
func (q *quickAcks) take(b []byte, limitBytes int64) int {
	if !q.ready() {
		return 0
	}
	q.plain, q.spans = q.plain[:0], q.spans[:0]
	taken := 0
	for {
		n := q.frame(b[taken:], limitBytes)
		if n == 0 {
			break
		}
		taken += n
	}
	if taken > 0 {
		text := string(q.plain)
		acks := make([]protocol.ClientAckRequest, len(q.spans))
		for i, s := range q.spans {
			acks[i].ClientMessageID = mesh.ClientID(text[s.client.from:s.client.to])
			acks[i].BrokerMessageID = mesh.ID(text[s.broker.from:s.broker.to])
		}
		q.serve(acks)
	}
	return taken
}

// frame takes in one whole acknowledgement in a frame of its own, and returns how long it is; 0 when b does not begin
// with one.
func (q *quickAcks) frame(b []byte, limitBytes int64) int {
	const wholeText = 0x80 | opText
	if len(b) < 2+maskBytes || b[0] != wholeText || b[1]&0x80 == 0 {
		return 0
	}
	size, head := int(b[1]&0x7f), 2
	if size == 126 {
		size, head = int(binary.BigEndian.Uint16(b[2:])), 4
	}
	if size > maxQuickBytes || int64(size) > limitBytes || len(b) < head+maskBytes+size {
		return 0
	}
	mask := b[head : head+maskBytes]
	from := len(q.plain)
	q.plain = append(q.plain, b[head+maskBytes:head+maskBytes+size]...)
	payload := q.plain[from:]
	for i := range payload {
		payload[i] ^= mask[i%maskBytes]
	}
	s, ok := parseAck(payload, from)
	if !ok {
		q.plain = q.plain[:from]
		return 0
	}
	q.spans = append(q.spans, s)
	return head + maskBytes + size
}

var (
	ackHead   = []byte(`{"type":"client_ack"`)
	ackClient = []byte(`,"clientMessageId":"`)
	ackBroker = []byte(`,"brokerMessageId":"`)
)

// parseAck reads a client_ack that is written without spaces, escapes and other fields. The spans begin at base.
func parseAck(b []byte, base int) (s ackSpan, ok bool) {
	rest, ok := bytes.CutPrefix(b, ackHead)
	for ok && len(rest) > 1 {
		to := &s.client
		value, found := bytes.CutPrefix(rest, ackClient)
		if !found {
			to = &s.broker
			value, found = bytes.CutPrefix(rest, ackBroker)
		}
		n := plainText(value)
		if !found || to.to > 0 || n < 0 {
			return s, false
		}
		to.from = base + len(b) - len(value)
		to.to = to.from + n
		rest = value[n+1:]
	}
	return s, ok && len(rest) == 1 && rest[0] == '}'
}

// plainText is how much of b is text that stands for itself, up to the quote behind it; -1 when there is none.
func plainText(b []byte) int {
	for i, c := range b {
		switch {
		case c == '"':
			return i
		case c < ' ' || c > '~' || c == '\\':
			return -1
		}
	}
	return -1
}
