package broker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// benchSite is a broker without bounds of rate and room.
func benchSite(b *testing.B) *team {
	b.Helper()
	s := openSite(b, func(o *Options) {
		set := &o.Settings
		set.SendPerSecond, set.SendBurst, set.MemberConnections = 1e9, 1e9, 1e6
		set.PairRows, set.PairBytes, set.RecipientBytes, set.MeshBytes, set.DedupeRows = 1e9, 1e15, 1e15, 1e15, 1e9
	})
	return s.found(b)
}

// lane is a connection of a benchmark: it writes prepared frames and counts what comes.
type lane struct {
	*raw
}

func (m *team) lane(b *testing.B, p person) *lane {
	b.Helper()
	l := &lane{raw: m.site.upgradeRaw(b)}
	if err := l.SetDeadline(time.Time{}); err != nil {
		b.Fatal(err)
	}
	l.r = bufio.NewReaderSize(l.Conn, 64<<10)
	l.write(b, m.sessionHello(p, seal.NewSecretKey(), nil))
	l.readFrame(b)
	return l
}

func (l *lane) write(b *testing.B, frame []byte) {
	if _, err := l.Write(append(clientFrame(0x81, uint64(len(frame)), 0), frame...)); err != nil {
		b.Error(err)
	}
}

// readFrame reads one data frame of the broker.
func (l *lane) readFrame(b *testing.B) []byte {
	for {
		head, err := l.r.Peek(2)
		if err != nil {
			b.Error(err)
			return nil
		}
		size, skip, opcode := int(head[1]), 2, head[0]&0x0f
		if size == 126 {
			if head, err = l.r.Peek(4); err != nil {
				b.Error(err)
				return nil
			}
			size, skip = int(binary.BigEndian.Uint16(head[2:])), 4
		}
		_, _ = l.r.Discard(skip) // peeked
		payload := make([]byte, size)
		if _, err := io.ReadFull(l.r, payload); err != nil {
			b.Error(err)
			return nil
		}
		if opcode == opText {
			return payload
		}
	}
}

// send writes a direct message of 1 KB.
func (l *lane) send(b *testing.B, to string) {
	id := mesh.NewClientID(time.Now()) // as a daemon makes them
	frame, err := protocol.Send.Encode("", protocol.SendRequest{
		ID: string(id), ClientMessageID: id, TargetSpec: to, Priority: mesh.Now, Nonce: seal.NewNonce().String(), Ciphertext: kilobyte,
	})
	if err != nil {
		b.Error(err)
	}
	l.write(b, frame)
}

var kilobyte = seal.Base64(bytes.Repeat([]byte("x"), 1024))

// drain acknowledges what a recipient is pushed, until its connection ends.
func (l *lane) drain() {
	for {
		head := make([]byte, 4)
		if _, err := io.ReadFull(l.r, head[:2]); err != nil {
			return
		}
		size := int(head[1])
		if size == 126 {
			if _, err := io.ReadFull(l.r, head[2:]); err != nil {
				return
			}
			size = int(binary.BigEndian.Uint16(head[2:]))
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(l.r, payload); err != nil {
			return
		}
		if i := bytes.Index(payload, []byte(`"messageId":"`)); i >= 0 {
			ack := []byte(`{"type":"client_ack","brokerMessageId":"` + string(payload[i+13:i+13+32]) + `"}`)
			if _, err := l.Write(append(clientFrame(0x81, uint64(len(ack)), 0), ack...)); err != nil {
				return
			}
		}
	}
}

// accepts measures sends from lanes connections with inFlight unanswered ones each.
func accepts(b *testing.B, lanes, inFlight int, online bool) {
	m := benchSite(b)
	bob := m.join(b, m.invite(b, 1), "bob")
	if online {
		go m.lane(b, bob).drain()
	}
	all := make([]*lane, lanes)
	for i := range all {
		all[i] = m.lane(b, m.first)
	}
	var mu sync.Mutex
	var times []time.Duration
	b.SetBytes(1024)
	b.ResetTimer()
	before := cpuTime()
	var done sync.WaitGroup
	for _, l := range all {
		done.Go(func() {
			mine := l.run(b, bob.pub(), b.N/lanes+1, inFlight)
			mu.Lock()
			times = append(times, mine...)
			mu.Unlock()
		})
	}
	done.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(len(times)), "cpu-ns/op")
	slices.Sort(times)
	b.ReportMetric(float64(len(times))/b.Elapsed().Seconds(), "acks/s")
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

// run sends n messages, at most inFlight of them unanswered, and gives how long each took to be answered.
func (l *lane) run(b *testing.B, to string, n, inFlight int) []time.Duration {
	slots, started := make(chan struct{}, inFlight), make(chan time.Time, inFlight)
	var writer sync.WaitGroup
	writer.Go(func() {
		for range n {
			slots <- struct{}{}
			started <- time.Now()
			l.send(b, to)
		}
	})
	defer writer.Wait()
	times := make([]time.Duration, 0, n)
	for len(times) < n {
		if frame := l.readFrame(b); frame == nil {
			return times
		} else if bytes.HasPrefix(frame, []byte(`{"type":"ack"`)) {
			times = append(times, time.Since(<-started))
			<-slots
		}
	}
	return times
}

func BenchmarkSendAck(b *testing.B)       { accepts(b, 1, 1, false) }
func BenchmarkSendAckOnline(b *testing.B) { accepts(b, 1, 1, true) }
func BenchmarkFanIn64(b *testing.B)       { accepts(b, 64, 1, false) }
func BenchmarkFanIn64Online(b *testing.B) { accepts(b, 64, 1, true) }
func BenchmarkPipelined4x128(b *testing.B) {
	accepts(b, 4, 128, true)
}

// BenchmarkWrite is what gathering frames saves: one connection over loopback, with acks and with pushes.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{120, 1500} {
		for _, frames := range []int{1, min(maxWriteFrames, maxWriteBytes/size)} {
			b.Run(fmt.Sprintf("bytes=%d/frames=%d", size, frames), func(b *testing.B) {
				o := newOutbound(swallowed(b), newMetrics())
				batch := make([]queued, frames)
				for i := range batch {
					batch[i].frame = bytes.Repeat([]byte("x"), size)
				}
				b.SetBytes(int64(size))
				for n := 0; n < b.N; n += frames {
					if err := o.write(batch, false); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// swallowed is a loopback connection whose other end reads everything.
func swallowed(b *testing.B) net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		if peer, err := net.Dial("tcp", l.Addr().String()); err == nil {
			_, _ = io.Copy(io.Discard, peer)
			_ = peer.Close()
		}
	}()
	conn, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}

// BenchmarkFanOut pushes a broadcast to 100 sessions.
func BenchmarkFanOut(b *testing.B) {
	m := benchSite(b)
	bob := m.join(b, m.invite(b, 1), "bob")
	const sessions, ahead = 100, 16 // a sender who is further ahead gets more receipts than it may leave unread
	window := make(chan struct{}, ahead*sessions)
	var got sync.WaitGroup
	got.Add(b.N * sessions)
	for range sessions {
		l := m.lane(b, bob)
		go func() {
			for left := b.N; left > 0; {
				frame := l.readFrame(b)
				if frame == nil { // its error is reported
					for range left {
						<-window
						got.Done()
					}
					return
				}
				if id, ok := bytes.CutPrefix(frame, []byte(`{"type":"push","messageId":"`)); ok {
					l.write(b, []byte(`{"type":"client_ack","brokerMessageId":"`+string(id[:32])+`"}`))
					<-window
					got.Done()
					left--
				}
			}
		}()
	}
	sender := m.lane(b, m.first)
	b.ResetTimer()
	before := cpuTime()
	go sender.drain()
	for range b.N {
		for range sessions {
			window <- struct{}{}
		}
		sender.send(b, "*")
	}
	got.Wait()
	b.ReportMetric(float64(b.N*sessions)/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N*sessions), "cpu-ns/delivery")
}

// BenchmarkIdle is what a connection costs that says hello and then nothing, with the test's own end of it.
func BenchmarkIdle(b *testing.B) {
	m := benchSite(b)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conns := make([]*raw, b.N)
	start := time.Now()
	for i := range conns {
		conns[i] = m.site.upgradeRaw(b)
		hello := m.sessionHello(m.first, seal.NewSecretKey(), nil)
		if _, err := conns[i].Write(append(clientFrame(0x81, uint64(len(hello)), 0), hello...)); err != nil {
			b.Fatal(err)
		}
		if _, err := conns[i].r.Peek(2); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "hellos/s")
	runtime.GC()
	runtime.ReadMemStats(&after)
	total := func(m runtime.MemStats) float64 { return float64(m.HeapInuse + m.StackInuse) }
	b.ReportMetric((total(after)-total(before))/float64(b.N), "bytes/conn")
}

// BenchmarkReconnect is a storm: sessions that the broker knows come back, 64 at a time.
func BenchmarkReconnect(b *testing.B) {
	m := benchSite(b)
	sessions := make(chan seal.SecretKey, 64)
	for range cap(sessions) {
		sessions <- seal.NewSecretKey()
	}
	b.SetParallelism(cap(sessions) / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := <-sessions
			c := m.site.upgradeRaw(b)
			hello := m.sessionHello(m.first, key, nil)
			if _, err := c.Write(append(clientFrame(0x81, uint64(len(hello)), 0), hello...)); err != nil {
				b.Error(err)
			}
			if _, err := c.r.Peek(2); err != nil {
				b.Error(err)
			}
			_ = c.Close()
			sessions <- key
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hellos/s")
}
