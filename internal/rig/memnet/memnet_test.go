package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const addr = "127.0.0.1:7900"

// line is a connection between ada and a listener, with both processes.
type line struct {
	t        *testing.T
	link     *Link
	port     *Port
	listener *Listener
	up, down net.Conn // ada's end, and the listener's
}

// connected runs a test of a connection in a bubble.
func connected(t *testing.T, test func(t *testing.T, l *line)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := New()
		listener, err := n.Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		l := &line{t: t, link: n.Link("ada", addr), port: n.Port("ada"), listener: listener}
		l.connect()
		t.Cleanup(func() {
			l.port.Kill()
			l.listener.Kill()
			_ = l.listener.Close() // never fails
		})
		test(t, l)
	})
}

func (l *line) connect() {
	l.t.Helper()
	came := make(chan net.Conn, 1)
	go func() {
		c, _ := l.listener.Accept() // nil when it fails, which Dial tells
		came <- c
	}()
	var err error
	if l.up, err = l.port.Dial(l.t.Context(), "tcp", addr); err != nil {
		l.t.Fatal(err)
	}
	l.down = <-came
}

func (l *line) write(c net.Conn, text string) {
	l.t.Helper()
	if n, err := c.Write([]byte(text)); err != nil || n != len(text) {
		l.t.Fatalf("wrote %d bytes: %v", n, err)
	}
}

// want reads as many bytes as text has.
func (l *line) want(c net.Conn, text string) {
	l.t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		l.t.Fatalf("got %q, %v, want %q", got, err, text)
	}
}

// wantEnd reads and compares the error.
func (l *line) wantEnd(c net.Conn, want error) {
	l.t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
		l.t.Errorf("got %d bytes, %v, want %v", n, err, want)
	}
}

func TestBothDirections(t *testing.T) {
	connected(t, func(t *testing.T, l *line) {
		l.write(l.up, "hel")
		l.write(l.up, "lo")
		l.want(l.down, "hell")
		l.want(l.down, "o")
		l.write(l.down, "back")
		l.want(l.up, "back")
		if l.up.RemoteAddr().String() != addr || l.down.LocalAddr().String() != addr || l.up.LocalAddr().String() != l.down.RemoteAddr().String() {
			t.Errorf("got %v to %v, and %v to %v", l.up.LocalAddr(), l.up.RemoteAddr(), l.down.LocalAddr(), l.down.RemoteAddr())
		}
	})
}

func TestCloseIsReadAfterTheBytes(t *testing.T) {
	connected(t, func(t *testing.T, l *line) {
		l.write(l.up, "last words")
		_ = l.up.Close()
		l.want(l.down, "last words")
		l.wantEnd(l.down, io.EOF)
		l.wantEnd(l.up, net.ErrClosed)
		if _, err := l.down.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("got %v, want %v", err, syscall.EPIPE)
		}
	})
}

func TestCutAndHeal(t *testing.T) {
	connected(t, func(t *testing.T, l *line) {
		l.write(l.up, "before")
		l.link.Cut()
		l.want(l.down, "before")
		l.wantEnd(l.down, syscall.ECONNRESET)
		l.wantEnd(l.up, syscall.ECONNRESET)
		if _, err := l.port.Dial(t.Context(), "tcp", addr); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("got %v, want %v", err, syscall.ENETUNREACH)
		}
		l.link.Heal()
		l.connect()
		l.write(l.up, "after")
		l.want(l.down, "after")
	})
}

func TestStallHoldsBackOneDirection(t *testing.T) {
	connected(t, func(t *testing.T, l *line) {
		l.link.Stall(Up)
		l.write(l.up, "late")
		l.write(l.down, "on time")
		l.want(l.up, "on time")
		_ = l.up.Close()
		_ = l.down.SetReadDeadline(time.Now().Add(time.Hour))
		l.wantEnd(l.down, os.ErrDeadlineExceeded)
		_ = l.down.SetReadDeadline(time.Time{})
		dial, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := l.port.Dial(dial, "tcp", addr); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that nobody answers", err)
		}
		l.link.Heal()
		l.want(l.down, "late")
		l.wantEnd(l.down, io.EOF)
	})
}

func TestDelayKeepsOrder(t *testing.T) {
	connected(t, func(t *testing.T, l *line) {
		waits := []time.Duration{3 * time.Second, time.Second, 5 * time.Second}
		l.link.Delay(func() time.Duration { w := waits[0]; waits = waits[1:]; return w })
		began := time.Now()
		for _, text := range []string{"a", "b", "c"} {
			l.write(l.up, text)
		}
		for i, text := range []string{"a", "b", "c"} {
			l.want(l.down, text)
			if got, want := time.Since(began), []time.Duration{3, 3, 5}[i]*time.Second; got != want {
				t.Errorf("%s came after %v, want %v", text, got, want)
			}
		}
	})
}

func TestWritersWaitForRoom(t *testing.T) {
	connected(t, func(t *testing.T, l *line) {
		long := strings.Repeat("x", bufferBytes)
		l.write(l.up, long)
		_ = l.up.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := l.up.Write([]byte("y")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
		}
		_ = l.up.SetDeadline(time.Time{})
		written := make(chan error, 1)
		go func() { _, err := l.up.Write([]byte("z")); written <- err }()
		synctest.Wait()
		l.want(l.down, long+"z")
		if err := <-written; err != nil {
			t.Error(err)
		}
	})
}

func TestKilledProcesses(t *testing.T) {
	connected(t, func(t *testing.T, l *line) {
		l.write(l.down, "sent")
		l.listener.Kill()
		l.want(l.up, "sent")
		l.wantEnd(l.up, io.EOF)
		if _, err := l.port.Dial(t.Context(), "tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v, want %v", err, syscall.ECONNREFUSED)
		}
		_ = l.listener.Close()
		next, err := l.listener.net.Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		l.listener = next
		if _, err := next.net.Listen(addr); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("got %v, want %v", err, syscall.EADDRINUSE)
		}
		l.connect()
		l.port.Kill()
		l.wantEnd(l.down, io.EOF)
		if _, err := l.port.Dial(t.Context(), "tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v from a process that is gone, want %v", err, syscall.ECONNREFUSED)
		}
	})
}

// frame writes what a client (masked) or a server sends.
func frame(text string, masked bool) string {
	raw := appendFrame(nil, []byte(text), masked)
	if masked {
		key := raw[len(raw)-len(text)-4 : len(raw)-len(text)]
		copy(key, "mask")
		for i := range text {
			raw[len(raw)-len(text)+i] ^= "mask"[i%4]
		}
	}
	return string(raw)
}

func TestTapChangesFrames(t *testing.T) {
	const request, answer = "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n"
	connected(t, func(t *testing.T, l *line) {
		var seen []string
		left := 0
		l.link.Tap(func(f Frame) [][]byte {
			seen = append(seen, string(rune('0'+f.Conn))+[]string{"up", "down"}[f.Direction]+f.Type)
			switch f.Type {
			case "drop":
				return nil
			case "twice":
				f.Then(func() { left++ })
				return [][]byte{f.Data, []byte("changed")}
			}
			return f.Pass()
		})
		long := `{"type":"long","x":"` + strings.Repeat("y", 70_000) + `"}`
		middle := `{"type":"middle","x":"` + strings.Repeat("y", 300) + `"}`
		all := request + frame(`{"type":"pass"}`, true) + "\x89\x80mask" + frame(`{"type":"drop"}`, true) + frame(long, true) + frame(`{"type":"twice"}`, true)
		for len(all) > 0 { // however it is cut
			n := min(len(all), 1000)
			l.write(l.up, all[:n])
			all = all[n:]
		}
		plain := func(text string) string { return string(appendFrame(nil, []byte(text), true)) }
		l.want(l.down, request+plain(`{"type":"pass"}`)+"\x89\x80mask"+plain(long)+plain(`{"type":"twice"}`)+plain("changed"))
		l.write(l.down, answer+frame(middle, false)+frame("no JSON", false))
		l.want(l.up, answer+frame(middle, false)+frame("no JSON", false))
		if got, want := strings.Join(seen, " "), "1uppass 1updrop 1uplong 1uptwice 1downmiddle 1down"; got != want || left != 1 {
			t.Errorf("got %q and %d calls, want %q and 1", got, left, want)
		}
	})
}

func TestTapLeavesOtherConnectionsAlone(t *testing.T) {
	connected(t, func(t *testing.T, l *line) {
		l.link.Tap(func(Frame) [][]byte { t.Error("a frame was seen"); return nil })
		const post = "POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\n\x81\x01x"
		l.write(l.up, post[:5])
		l.write(l.up, post[5:])
		l.write(l.up, "\x81\x01x")
		l.want(l.down, post+"\x81\x01x")
	})
}
