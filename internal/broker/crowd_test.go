package broker

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Connections without end, as many as -sessions says, and one message to all of them.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	each := *stormSize / 2
	s := openSite(t, func(o *Options) {
		o.Settings.MemberConnections, o.Settings.MeshConnections, o.Settings.MemberHellos = each+1, 2*each+2, 10*each
	})
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	var mu sync.Mutex
	var all []*client
	var wg sync.WaitGroup
	for i := range 2 * each {
		p := m.first
		if i%2 == 0 {
			p = bob
		}
		wg.Go(func() {
			c := m.enterSession(t, p, seal.NewSecretKey())
			mu.Lock()
			all = append(all, c)
			mu.Unlock()
		})
	}
	wg.Wait()
	all[0].send(t, []byte(`{"type":"send","id":"1","client_message_id":"1","targetSpec":"*","priority":"now","nonce":"","ciphertext":"aGVsbG8="}`))
	if got := all[0].next(t); !strings.Contains(got, `"queued":true`) {
		t.Errorf("got %s, want an ack", got)
	}
	for _, c := range all[1:] {
		if got := c.next(t); !strings.Contains(got, `"ciphertext":"aGVsbG8="`) {
			t.Errorf("got %s, want the push", got)
		}
	}
}

// A session that reconnects again and again has one seat and one row (lessons 4.8).
func TestLesson231ReconnectsDoNotPileUp(t *testing.T) {
	t.Parallel()
	s := openSite(t, func(o *Options) { o.Settings.MemberConnections, o.Settings.MeshConnections = 2, 3 })
	m := s.found(t)
	last := m.enter(t, m.first, nil)
	for range 50 {
		next := m.enter(t, m.first, nil)
		last.wantClose(t, websocket.StatusNormalClosure, "session_replaced")
		last = next
	}
	for deadline := time.Now().Add(patience); ; {
		_, body := s.do(t, s.request(t, http.MethodGet, "/metrics", nil))
		if strings.Contains(body, "\nbroker_connections_active 1\n") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("connections piled up:\n%s", body)
		}
	}
	last.send(t, []byte(`{"type":"list_peers"}`))
	if got := last.next(t); strings.Count(got, `"memberPubkey"`) != 1 {
		t.Errorf("got %s, want one row", got)
	}
}

// A head that comes one byte a second is cut after its time.
func TestThreat16SlowHeadersAreCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSite(t, nil)
		conn, err := s.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			buf := make([]byte, 512)
			for err := error(nil); err == nil; {
				_, err = conn.Read(buf)
			}
		}()
		start := time.Now()
		for _, b := range []byte("GET /health HTTP/1.1\r\nHost: 127.0.0.1:7900\r\n\r\n") {
			if _, err := conn.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > headTime+2*time.Second {
			t.Errorf("cut after %v, want %v", took, headTime)
		}
	})
}

// Connections beyond the bound are closed at once, and places come back.
func TestDoorman(t *testing.T) {
	t.Parallel()
	if got := []int{places(100, 0), places(20_000, 4096), places(100, 10)}; fmt.Sprint(got) != "[1124 3968 1]" {
		t.Errorf("got places %v", got)
	}
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	set := config.DefaultBroker()
	set.AddressConnections = 1
	count := newMetrics()
	d := newDoorman(p, set, count)
	d.free = 1
	dial := func() net.Conn { return must(p.dial(t.Context())) }
	go dial()
	first := must(d.Accept())
	accepted := make(chan net.Conn, 1)
	go func() { accepted <- must(d.Accept()) }()
	over := dial()
	if _, err := over.Read(make([]byte, 1)); err == nil {
		t.Error("a connection beyond the bound was served")
	}
	_ = first.Close()
	_ = first.Close() // gives one place back, not two
	go dial()
	second := <-accepted
	if d.free != 0 {
		t.Errorf("got %d free places, want none", d.free)
	}
	_ = second.Close()
	if n := count.limits.values[string(config.BoundConnections)]; n != 1 {
		t.Errorf("%d connections were counted, want the one that was closed", n)
	}
}

// One address has its bound before anything is read of it; a proxy, and this machine, have not.
func TestDoormanCountsStrangers(t *testing.T) {
	t.Parallel()
	set := config.DefaultBroker()
	set.AddressConnections, set.TrustedProxies = 1, []string{"10.0.0.0/8"}
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	count := newMetrics()
	d := newDoorman(p, set, count)
	d.perVisit = 2
	from := func(addr string) net.Conn {
		_, server := net.Pipe()
		return remote{server, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))}
	}
	go func() {
		for _, addr := range []string{
			"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.1:4", "[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1",
			"10.1.1.1:1", "10.1.1.1:2", "10.1.1.1:3", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3",
		} {
			p.conns <- from(addr)
		}
		_ = p.Close()
	}()
	var got []string
	var conns []net.Conn
	for {
		conn, err := d.Accept()
		if err != nil {
			break
		}
		got, conns = append(got, conn.RemoteAddr().String()), append(conns, conn)
	}
	want := []string{
		"192.0.2.1:1", "192.0.2.1:2", "[2001:db8::1]:1", "[2001:db8::2]:1",
		"10.1.1.1:1", "10.1.1.1:2", "10.1.1.1:3", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("let in (-want +got):\n%s", diff)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	if n := count.limits.values[string(config.BoundAddressConnections)]; n != 3 {
		t.Errorf("%d connections of strangers were counted, want the 3 that were closed", n)
	}
	if len(d.open) != 0 || d.free != places(set.Connections, maxFiles()) {
		t.Errorf("got %v and %d places after all left, want none taken", d.open, d.free)
	}
}

// remote is a connection of an address.
type remote struct {
	net.Conn
	addr net.Addr
}

func (r remote) RemoteAddr() net.Addr { return r.addr }

// Who proves a session key takes it from whoever only announced it.
func TestLesson229TakenSessionKeyClosesItsSquatter(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	session := seal.NewSecretKey()
	squatter := m.enter(t, m.first, func(r *protocol.HelloRequest) { r.SessionPubkey = session.Public().String() })
	m.enterSession(t, bob, session)
	squatter.wantClose(t, websocket.StatusPolicyViolation, "bad_session_pubkey")
}
