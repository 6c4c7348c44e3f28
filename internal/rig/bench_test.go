package rig

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// fast are the limits of a broker that is to be measured, not its limits.
var fast = settings{broker: func(b *config.Broker) {
	b.SendPerSecond, b.SendBurst, b.PairRows = 1_000_000, 1_000_000, 1_000_000
}}

// BenchmarkOneMessage is the way of one message, alone: accepted by one daemon, in the inbox of the other, and its sender
// knows. Every step is on the disk.
func BenchmarkOneMessage(b *testing.B) {
	w := newWorld(b, fast, "ada", "ben")
	bens := string(w.homes[1].Mesh("team").Pubkey)
	for b.Loop() {
		_, err := localapi.Send.Do(b.Context(), w.homes[0], localapi.SendRequest{To: bens, Message: "hello", Wait: mesh.StateDelivered})
		w.must(err)
	}
}

// BenchmarkMessages is how many messages a second go that way when so many senders do not wait for each other.
func BenchmarkMessages(b *testing.B) {
	for _, senders := range []int{1, 16} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) {
			w := newWorld(b, fast, "ada", "ben")
			bens := string(w.homes[1].Mesh("team").Pubkey)
			send := func(id string, wait mesh.State) {
				_, err := localapi.Send.Do(b.Context(), w.homes[0], localapi.SendRequest{
					To: bens, Message: "hello", ClientMessageID: id, Wait: wait,
				})
				if err != nil {
					b.Error(err)
				}
			}
			b.ResetTimer()
			began := time.Now()
			var all sync.WaitGroup
			for s := range senders {
				all.Go(func() {
					for i := range b.N / senders {
						send(fmt.Sprintf("sender-%d-%d", s, i), "")
					}
					send(fmt.Sprintf("sender-%d-last", s), mesh.StateDelivered)
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "messages/s")
		})
	}
}
