package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// clientFrame builds the frame of a client: masked, with a payload of zeros that claims to be length bytes.
func clientFrame(first byte, length uint64, payload int) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, 0x80|byte(length))
	case length <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), length)
	}
	return append(b, make([]byte, maskBytes+payload)...)
}

func TestScannerStopsAtTheHeader(t *testing.T) {
	t.Parallel()
	const text, start, next, last, ping = 0x81, 0x01, 0x00, 0x80, 0x89
	good := clientFrame(text, 100, 100)
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	for name, c := range map[string]struct {
		stream []byte
		passes int // bytes; -1 for all
		err    error
	}{
		"at the limit":           {clientFrame(text, 1000, 1000), -1, nil},
		"over the limit":         {clientFrame(text, 1001, 0), 0, errTooBig},
		"1 TiB":                  {clientFrame(text, 1<<40, 0), 0, errTooBig},
		"2^63":                   {clientFrame(text, 1<<63, 0), 0, errTooBig},
		"2^64-1":                 {clientFrame(text, 1<<64-1, 0), 0, errTooBig},
		"a control frame of 1 T": {clientFrame(ping, 1<<40, 0), 0, errTooBig},
		"behind a good one":      {join(good, clientFrame(text, 1001, 0)), len(good), errTooBig},
		"fragments in sum":       {join(clientFrame(start, 600, 600), clientFrame(next, 600, 0)), len(clientFrame(start, 600, 600)), errTooBig},
		"fragments within":       {join(clientFrame(start, 600, 600), clientFrame(ping, 100, 100), clientFrame(last, 400, 400), clientFrame(text, 1000, 1000)), -1, nil},
		"not masked":             {[]byte{text, 1, 0}, 0, errUnmasked},
		"empty":                  {clientFrame(text, 0, 0), -1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, chunk := range []int{1, 2, 7, len(c.stream)} {
				var s scanner
				s.limitBytes.Store(1000)
				passed, err := scanAll(&s, c.stream, chunk)
				if !errors.Is(err, c.err) {
					t.Errorf("in chunks of %d: got error %v, want %v", chunk, err, c.err)
				}
				want := c.passes
				if want < 0 {
					want = len(c.stream)
				}
				if header := 14; passed < want || passed > want+header || chunk == len(c.stream) && passed != want {
					t.Errorf("in chunks of %d: %d bytes passed, want %d", chunk, passed, want)
				}
			}
		})
	}
}

// scanAll gives a stream to a scanner in chunks, until it is refused.
func scanAll(s *scanner, stream []byte, chunk int) (passed int, err error) {
	for rest := stream; len(rest) > 0 && err == nil; rest = rest[min(chunk, len(rest)):] {
		var n int
		n, err = s.pass(rest[:min(chunk, len(rest))])
		passed += n
	}
	return passed, err
}

// A frame that was read ahead, before a hello raised the limit, is judged by the limit of its own time.
func TestScannerJudgesAgain(t *testing.T) {
	t.Parallel()
	for split := range 4 {
		var s scanner
		s.limitBytes.Store(100)
		first, second := clientFrame(0x81, 100, 100), clientFrame(0x81, 1000, 1000)
		stream := append(first, second...)
		at := len(first) + split
		n, err := s.pass(stream[:at])
		if split < 4 && (n != at || err != nil) {
			t.Fatalf("split %d: got %d and %v, want all of what is no whole header", split, n, err)
		}
		if n, err = s.pass(stream[at:]); n != 0 || !errors.Is(err, errTooBig) {
			t.Errorf("split %d: got %d and %v, want a refusal", split, n, err)
		}
		s.limitBytes.Store(1000)
		if n, err = s.pass(stream[at:]); n != len(stream)-at || err != nil {
			t.Errorf("split %d: got %d and %v after the limit was raised", split, n, err)
		}
	}
}

func FuzzScanner(f *testing.F) {
	f.Add(clientFrame(0x81, 100, 100), 3)
	f.Add(clientFrame(0x81, 1<<63, 0), 1)
	f.Add([]byte{0x81, 1, 0}, 1)
	f.Fuzz(func(t *testing.T, stream []byte, chunk int) {
		if chunk < 1 {
			return
		}
		var whole, parts scanner
		whole.limitBytes.Store(1000)
		parts.limitBytes.Store(1000)
		n, err := scanAll(&whole, stream, len(stream)+1)
		m, errParts := scanAll(&parts, stream, chunk)
		if !errors.Is(errParts, err) || n > m || m > n+headBytes || m > len(stream) || whole.total != parts.total {
			t.Errorf("whole: %d %v %+v, in parts: %d %v %+v", n, err, &whole, m, errParts, &parts)
		}
	})
}
