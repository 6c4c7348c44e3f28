package broker

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// masked is a whole text frame of a client.
func masked(payload string) []byte {
	frame := clientFrame(0x81, uint64(len(payload)), 0)
	mask := frame[len(frame)-maskBytes:]
	copy(mask, "\x00\x81~\x07")
	key := bytes.Clone(mask)
	for i := range len(payload) {
		frame = append(frame, payload[i]^key[i%maskBytes])
	}
	return frame
}

// pieces is a connection from which these pieces are read, one a call.
type pieces struct {
	net.Conn
	list [][]byte
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.list) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.list[0])
	p.list[0] = p.list[0][n:]
	if len(p.list[0]) == 0 {
		p.list = p.list[1:]
	}
	return n, nil
}

func TestAcknowledgementsAreTakenFromTheFrontOfWhatIsRead(t *testing.T) {
	t.Parallel()
	ack := func(n int) []byte {
		return masked(fmt.Sprintf(`{"type":"client_ack","clientMessageId":"c%d","brokerMessageId":"b%d"}`, n, n))
	}
	long := masked(`{"type":"client_ack","clientMessageId":"` + string(bytes.Repeat([]byte("x"), 100)) + `","brokerMessageId":"b"}`)
	other, start := masked(`{"type":"list_peers"}`), append([]byte{0x01}, masked(`{"type":"cl`)[1:]...)
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	for name, c := range map[string]struct {
		read   [][]byte
		served []int // acknowledgements at once
		passed []byte
	}{
		"one":                       {[][]byte{ack(1)}, []int{1}, nil},
		"several at once":           {[][]byte{join(ack(1), ack(2), ack(3)), ack(4)}, []int{3, 1}, nil},
		"with a long id":            {[][]byte{join(long, ack(2))}, []int{2}, nil},
		"before another frame":      {[][]byte{join(ack(1), other)}, []int{1}, other},
		"behind another frame":      {[][]byte{join(other, ack(1))}, nil, join(other, ack(1))},
		"behind one of before":      {[][]byte{other, ack(1)}, []int{1}, other},
		"cut":                       {[][]byte{ack(1)[:20], ack(1)[20:]}, nil, ack(1)},
		"cut behind others":         {[][]byte{join(ack(1), ack(2)[:1]), ack(2)[1:], ack(3)}, []int{1, 1}, ack(2)},
		"between fragments":         {[][]byte{start, ack(1)}, nil, join(start, ack(1))},
		"in a frame without a mask": {[][]byte{{0x81, 2, '{', '}'}}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var served []int
			l := &link{Conn: &pieces{list: c.read}}
			l.scan.limitBytes.Store(1 << 20)
			l.acks = &quickAcks{
				ready: func() bool { return true },
				serve: func(acks []protocol.ClientAckRequest) { served = append(served, len(acks)) },
			}
			passed, _ := io.ReadAll(l)
			if d := cmp.Diff(c.served, served); d != "" {
				t.Errorf("served together (-want +got):\n%s", d)
			}
			if !bytes.Equal(passed, c.passed) {
				t.Errorf("got %q passed on, want %q", passed, c.passed)
			}
		})
	}
}

func TestStrangersAcknowledgeNothing(t *testing.T) {
	t.Parallel()
	q := &quickAcks{ready: func() bool { return false }}
	if n := q.take(masked(`{"type":"client_ack","brokerMessageId":"b"}`), 1000); n != 0 {
		t.Errorf("got %d bytes taken before the hello, want none", n)
	}
}

// FuzzQuickAck holds the quick reading of an acknowledgement against the strict one: what it takes means the same there.
func FuzzQuickAck(f *testing.F) {
	for _, s := range []string{
		`{"type":"client_ack"}`, `{"type":"client_ack","brokerMessageId":"b"}`, `{"type":"client_ack","clientMessageId":"c","brokerMessageId":""}`,
		`{"type":"client_ack","brokerMessageId":"b","clientMessageId":"c"}`, `{"type":"client_ack","brokerMessageId":"b","brokerMessageId":"b"}`,
		`{"type":"client_ack","brokerMessageId":"b\n"}`, `{"type":"client_ack","brokerMessageId":"b","_reqId":"1"}`, `{"type":"client_ack",}`,
		`{"type":"client_ack","brokerMessageId":"ü"}`, `{"type":"client_ack","brokerMessageId":"b"}}`, `{"type":"client_ack","brokerMessageId":"b"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, ok := parseAck(payload, 0)
		if !ok {
			return
		}
		var strict struct {
			Type string                    `json:"type"`
			Body protocol.ClientAckRequest `json:",embed"`
		}
		if err := wire.DecodeKnown(payload, &strict); err != nil {
			t.Fatalf("%q is taken, and is %v", payload, err)
		}
		text := string(payload)
		got := [2]string{text[s.client.from:s.client.to], text[s.broker.from:s.broker.to]}
		if want := [2]string{string(strict.Body.ClientMessageID), string(strict.Body.BrokerMessageID)}; got != want || strict.Type != "client_ack" {
			t.Fatalf("%q: got %q, want %q of %q", payload, got, want, strict.Type)
		}
	})
}

// What a client of ours writes is read quickly.
func TestOurAcknowledgementsAreQuick(t *testing.T) {
	t.Parallel()
	for _, ack := range []protocol.ClientAckRequest{{BrokerMessageID: "b"}, {ClientMessageID: "c", BrokerMessageID: "b"}} {
		frame, err := protocol.ClientAck.Encode("", ack)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := parseAck(frame, 0); !ok {
			t.Errorf("%s is not read quickly", frame)
		}
	}
}
