package broker

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
)

// link is the network connection below a WebSocket, as its library reads it.
type link struct {
	net.Conn
	early []byte // what is to be read first: what the HTTP server had read beyond the handshake, and what was held back
	scan  scanner
	acks  *quickAcks
}

// Read passes on what comes before a frame that is refused by its header; the next Read says why it is.
func (l *link) Read(p []byte) (n int, err error) {
	if len(l.early) > 0 {
		n = copy(p, l.early)
		l.early = l.early[n:]
	} else {
		n, err = l.receive(p)
	}
	passed, refusal := l.scan.pass(p[:n])
	if refusal == nil {
		return n, err
	}
	l.early = append(bytes.Clone(p[passed:n]), l.early...)
	if passed > 0 {
		return passed, nil
	}
	return 0, refusal
}

// receive reads from the network what is not served here already.
func (l *link) receive(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		if err != nil || !l.scan.between() {
			return n, err
		}
		taken := l.acks.take(p[:n], l.scan.limitBytes.Load())
		if n = copy(p, p[taken:n]); n > 0 {
			return n, nil
		}
	}
}

// upgrade is a response that is hijacked as a link.
type upgrade struct {
	http.ResponseWriter
	limitBytes int64
	link       *link
}

// controlBytes holds any control frame. The library writes nothing else through its buffer, so each of its writes is
// one whole frame, which cannot tear what the outbound side writes.
const controlBytes = 2 + 125 + 1

// Hijack takes the connection from the HTTP server. Data frames bypass the library on their way out, so its write
// buffer can be small.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered()) // cannot fail: it is there
	u.link = &link{Conn: conn, early: bytes.Clone(early)}
	u.link.scan.limitBytes.Store(u.limitBytes)
	rw.Reader.Reset(u.link)
	return u.link, bufio.NewReadWriter(rw.Reader, bufio.NewWriterSize(u.link, controlBytes)), nil
}
