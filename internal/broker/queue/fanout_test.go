package queue

import (
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// BenchmarkFanout measures a message of 1 KiB to a hundred sessions that acknowledge it, one after the other but for a
// window, on a real file. An op is one delivery.
func BenchmarkFanout(b *testing.B) {
	const listeners, window = 100, 32
	m := newMeter(b)
	people := benchMesh(b, m.db, listeners)
	from := people[0]
	var left, acking sync.WaitGroup
	defer acking.Wait()
	credit := make(chan struct{}, window)
	attachBench(b, m.q, from, &sink{})
	for _, p := range people[1:] {
		one := &sink{acks: make(chan mesh.ID, 1<<12)}
		attachBench(b, m.q, p, one)
		defer close(one.acks)
		acking.Go(func() {
			for id := range one.acks {
				_, _ = m.q.ClientAck(b.Context(), p, protocol.ClientAckRequest{BrokerMessageID: id}) // fails when all is over
				left.Done()
			}
		})
	}
	body, nonce := base64.StdEncoding.EncodeToString(make([]byte, 1040)), base64.StdEncoding.EncodeToString(make([]byte, 24))
	b.ResetTimer()
	for range (b.N + listeners - 1) / listeners {
		credit <- struct{}{}
		left.Add(listeners)
		id := mesh.NewClientID(time.Now())
		m.q.Accept(b.Context(), from, protocol.SendRequest{
			ID: string(id), TargetSpec: "*", Priority: mesh.Next, Nonce: nonce, Ciphertext: body,
			ClientMessageID: id, RequestFingerprint: strings.Repeat("ab", 32),
		}, func(a protocol.Ack, _ error) {
			if !a.Queued {
				b.Errorf("got %+v", a)
			}
			<-credit
		})
	}
	left.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}
