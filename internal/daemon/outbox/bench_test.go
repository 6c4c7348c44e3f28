package outbox

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// BenchmarkAccept is the durable part of a send: one row, one group commit.
func BenchmarkAccept(b *testing.B) {
	for _, senders := range []int{1, 16} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) {
			o := open(b)
			base := draft("", bob, string(make([]byte, 1024)))
			base.Ciphertext = string(make([]byte, 1400))
			var n, work atomic.Int64
			done := make(chan error, senders)
			b.ResetTimer()
			for range senders {
				go func() {
					for work.Add(1) <= int64(b.N) {
						d := base
						d.Nonce = fmt.Sprint(n.Add(1))
						if _, err := o.Accept(context.Background(), d); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range senders {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDrain sends a backlog to one target over a broker that answers after a commit's time.
func BenchmarkDrain(b *testing.B) {
	for _, window := range []int{1, 64} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			o := open(b)
			s := newScripted()
			s.limits.SendWindow, s.delay = window, 300*time.Microsecond
			s.limits.SendPerSecond, s.limits.SendBurst = 1e9, 1e9
			acceptInParallel(b, o)
			all := make(chan struct{})
			s.script = func(_ int, r protocol.SendRequest) answer {
				if len(s.accepted) == b.N-1 {
					return answer{onAck: func() { close(all) }}
				}
				return answer{}
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			b.ResetTimer()
			go func() { ended <- o.Drain(ctx, meshA, "a", s) }()
			<-all
			cancel()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// acceptInParallel fills the outbox with b.N rows.
func acceptInParallel(b *testing.B, o *Outbox) {
	b.Helper()
	var n atomic.Int64
	done := make(chan error, 64)
	for range cap(done) {
		go func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if _, err := o.Accept(context.Background(), draft(mesh.ClientID(fmt.Sprint("m-", i)), bob, "hello")); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
