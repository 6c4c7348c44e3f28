package broker

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// lobby is a door for visitors, with a clock that a test moves.
type lobby struct {
	*visitors
	now     time.Time
	reached map[config.Bound]int
}

func newLobby(edit func(*config.Broker)) *lobby {
	l := &lobby{now: time.UnixMilli(0), reached: map[config.Bound]int{}}
	set := config.DefaultBroker()
	edit(&set)
	l.visitors = newVisitors(set, func() time.Time { return l.now }, func(b config.Bound) { l.reached[b]++ })
	return l
}

// from is a request of an address.
func from(addr string) *http.Request {
	return &http.Request{RemoteAddr: net.JoinHostPort(addr, "1"), Header: http.Header{}}
}

func (l *lobby) asks(addr string) bool { return l.ask(from(addr)) == nil }

func TestRequestsAreBoundedByAddress(t *testing.T) {
	t.Parallel()
	l := newLobby(func(set *config.Broker) { set.AddressRequests = 30 })
	for i := range 30 {
		if !l.asks("192.0.2.1") || !l.asks("2001:db8::1") {
			t.Fatalf("request %d was refused, want 30 at once", i+1)
		}
	}
	if l.asks("192.0.2.1") || l.asks("::ffff:192.0.2.1") || l.asks("2001:db8::ffff") {
		t.Error("asked once more than the bound, want one bucket for an address and for a /64")
	}
	if !l.asks("192.0.2.2") || !l.asks("2001:db8:0:1::1") {
		t.Error("refused another address")
	}
	if got := retryAfter(l.ask(from("192.0.2.1"))); got != "2" {
		t.Errorf("Retry-After is %s, want 2: 30 a minute", got)
	}
	l.now = l.now.Add(2 * time.Second)
	if !l.asks("192.0.2.1") || l.asks("192.0.2.1") {
		t.Error("want one more request after its wait")
	}
	for range 100 {
		if err := l.ask(&http.Request{RemoteAddr: "pipe"}); err != nil {
			t.Fatalf("in a network without addresses: %v", err)
		}
	}
	if diff := cmp.Diff(map[config.Bound]int{config.BoundAddressRequests: 5}, l.reached); diff != "" {
		t.Errorf("bounds that were met (-want +got):\n%s", diff)
	}
}

func TestConnectionsAreBoundedByAddress(t *testing.T) {
	t.Parallel()
	l := newLobby(func(set *config.Broker) { set.AddressConnections, set.AddressConnects = 2, 5 })
	const here, there = "192.0.2.1", "192.0.2.2"
	connect := func(addr string, want mesh.Code) visit {
		t.Helper()
		v, err := l.connect(from(addr))
		if got := mesh.CodeOf(err); got != want {
			t.Errorf("%s: got %v, want %q", addr, err, want)
		}
		return v
	}
	first := connect(here, "")
	connect(here, "")
	connect(here, mesh.Capacity)
	connect(there, "")
	first.leave()
	second := connect(here, "")
	second.leave()
	connect(here, "").leave()
	connect(here, "").leave()
	connect(here, mesh.RateLimited) // the sixth in a minute; it holds no place
	l.now = l.now.Add(12 * time.Second)
	connect(here, "")
	connect(here, mesh.Capacity)
	want := map[config.Bound]int{config.BoundAddressConnections: 2, config.BoundAddressConnects: 1}
	if diff := cmp.Diff(want, l.reached); diff != "" {
		t.Errorf("bounds that were met (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[netip.Prefix]int{netip.MustParsePrefix("192.0.2.1/32"): 2, netip.MustParsePrefix("192.0.2.2/32"): 1}, l.open,
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("open connections (-want +got):\n%s", diff)
	}
	for range 100 {
		if v, err := l.connect(from("127.0.0.1")); err != nil || v.of != nil {
			t.Fatalf("from this machine: %v", err)
		}
	}
	visit{}.leave()
	visit{}.failed()
}

func TestRefusedHellosAreBoundedByAddress(t *testing.T) {
	t.Parallel()
	l := newLobby(func(set *config.Broker) { set.AddressFailures = 2 })
	const here = "192.0.2.1"
	for i := range 2 {
		v, err := l.connect(from(here))
		if err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
		v.failed()
		v.leave()
	}
	_, err := l.connect(from(here))
	if !mesh.IsCode(err, mesh.RateLimited) || retryAfter(err) != "30" {
		t.Errorf("after two failures got %v, Retry-After %s, want rate_limit and 30", err, retryAfter(err))
	}
	if _, err := l.connect(from("192.0.2.2")); err != nil {
		t.Errorf("another address: %v", err)
	}
	l.now = l.now.Add(30 * time.Second)
	for range 10 { // those that do not fail take nothing
		if _, err := l.connect(from(here)); err != nil {
			t.Errorf("after its wait: %v", err)
		}
	}
}

// However many addresses come, what is remembered of them is bounded; those with a connection are never forgotten.
func TestVisitorsAreForgotten(t *testing.T) {
	t.Parallel()
	l := newLobby(func(set *config.Broker) { set.AddressConnections = 1 })
	const guest = "192.0.2.1"
	if _, err := l.connect(from(guest)); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * maxPaced {
		v, err := l.connect(from(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
		if err != nil {
			t.Fatal(err)
		}
		v.failed()
		v.leave()
	}
	if len(l.connects.of) > maxPaced || len(l.failures.of) > maxPaced || len(l.open) != 1 {
		t.Errorf("got %d and %d buckets and %d open, want at most %d, and the one that is here", len(l.connects.of), len(l.failures.of), len(l.open), maxPaced)
	}
	if _, err := l.connect(from(guest)); !mesh.IsCode(err, mesh.Capacity) {
		t.Errorf("got %v, want the place of the first still taken", err)
	}
}
