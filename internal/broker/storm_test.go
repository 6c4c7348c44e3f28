package broker

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

var stormSize = flag.Int("sessions", 200, "how many sessions come back at once")

// Every session of a mesh is dropped at once and comes back at once, while somebody goes on to write to them: what was
// accepted comes to each, once and in order, and no message waits long to be accepted.
func TestReconnectStorm(t *testing.T) {
	n := *stormSize
	s := openSite(t, func(o *Options) {
		o.Settings.MemberConnections, o.Settings.MeshConnections, o.Settings.MemberHellos = n+1, n+2, 10*n
		o.Settings.SendPerSecond, o.Settings.SendBurst = 10*n, 10*n
	})
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	alice := m.enter(t, m.first, nil)
	crowd := make([]*stormed, n)
	for i := range crowd {
		crowd[i] = &stormed{key: seal.NewSecretKey()}
	}
	enter := func() time.Duration {
		return inTurns(crowd, func(p *stormed) { p.client = m.enterSession(t, bob, p.key) })
	}
	enter()
	send := func(i int, p *stormed) {
		if ack := alice.sendTo(t, p.key.Public().String(), fmt.Sprintf("%d-%d", i, p.sent), 200); !ack.Queued {
			t.Errorf("got %+v, want it accepted", ack)
			return
		}
		p.sent++
	}
	for i, p := range crowd {
		send(i, p)
	}
	for _, p := range crowd {
		_ = p.client.ws.CloseNow() // unread, or read and not acknowledged
	}
	var slowest time.Duration
	var writer sync.WaitGroup
	writer.Go(func() {
		for i, p := range crowd {
			began := time.Now()
			send(i, p)
			slowest = max(slowest, time.Since(began))
		}
	})
	took := enter()
	writer.Wait()
	inTurns(crowd, func(p *stormed) { p.read(t) })
	for _, p := range crowd {
		_ = p.client.ws.CloseNow()
	}
	enter()
	lost, doubled, misordered := 0, 0, 0
	for i, p := range crowd {
		lost += p.sent - len(p.came)
		for k, id := range p.came {
			if string(id) != fmt.Sprintf("%d-%d", i, k) {
				misordered++
			}
		}
		send(i, p) // what comes behind shows that nothing came again before it
		p.came = nil
		p.read(t)
		doubled += len(p.came) - 1
	}
	fmt.Printf("fault %-22s sent %d ok %d refused 0 unknown 0 lost %d doubled %d misordered %d misreported 0 (%d sessions back in %s, slowest accept %s)\n",
		"reconnect-storm", 3*n, 3*n, lost, doubled, misordered, n, took.Round(time.Millisecond), slowest.Round(time.Millisecond))
	if lost+doubled+misordered != 0 {
		t.Errorf("lost %d, doubled %d, misordered %d; want none", lost, doubled, misordered)
	}
}

// stormed is a session in the storm.
type stormed struct {
	key    seal.SecretKey
	client *client
	sent   int
	came   []mesh.ClientID
}

// read takes and acknowledges what comes, until it has the newest that was sent.
func (p *stormed) read(t *testing.T) {
	newest := fmt.Sprintf("-%d", p.sent-1)
	for len(p.came) == 0 || !strings.HasSuffix(string(p.came[len(p.came)-1]), newest) {
		var push protocol.PushedMessage
		if err := wire.Decode([]byte(p.client.nextOf(t, "push")), &push); err != nil {
			t.Error(err)
			return
		}
		p.came = append(p.came, push.ClientMessageID)
		p.client.send(t, must(protocol.ClientAck.Encode("", protocol.ClientAckRequest{ClientMessageID: push.ClientMessageID, BrokerMessageID: push.MessageID})))
	}
}

// inTurns does something for everybody, for 64 at once.
func inTurns(crowd []*stormed, do func(*stormed)) time.Duration {
	began := time.Now()
	next := make(chan *stormed)
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for p := range next {
				do(p)
			}
		})
	}
	for _, p := range crowd {
		next <- p
	}
	close(next)
	all.Wait()
	return time.Since(began)
}
