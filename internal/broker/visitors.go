package broker

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// visitors bounds what a network address may do before it is known whose it is: the connections that it holds, those
// that it opens, the hellos that are refused, and what it asks on routes that anyone may call. Codes and keys cannot be
// guessed at any rate; the bounds are for the work that it makes, and so that one address does not take the places of all.
type visitors struct {
	set     config.Broker
	proxies proxies
	now     mesh.Clock
	reached func(config.Bound)

	connects, failures, requests *pace[netip.Prefix]

	mu   sync.Mutex
	open map[netip.Prefix]int // connections; an address without any has no entry
}

func newVisitors(set config.Broker, now mesh.Clock, reached func(config.Bound)) *visitors {
	trusted, _ := set.Proxies() // was checked when the settings were loaded
	return &visitors{
		set: set, proxies: trusted, now: now, reached: reached, open: map[netip.Prefix]int{},
		connects: newPace[netip.Prefix](set.AddressConnects),
		failures: newPace[netip.Prefix](set.AddressFailures),
		requests: newPace[netip.Prefix](set.AddressRequests),
	}
}

// tooOften is a rate_limit that knows when there is room again.
type tooOften struct {
	error
	wait time.Duration
}

// Unwrap gives the error of the table.
func (e tooOften) Unwrap() error { return e.error }

// neighbourhood is what counts as one address: an IPv6 host has a whole /64 to come from. False means that the network
// has no addresses: it is in memory, and nobody on it is a stranger.
func neighbourhood(addr netip.Addr) (netip.Prefix, bool) {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	where, err := addr.Prefix(bits)
	return where, err == nil && addr.IsValid()
}

// caller is the network address that asks.
func (v *visitors) caller(r *http.Request) netip.Addr {
	return v.proxies.forwardedBy(peerOf(r), r.Header.Values("X-Forwarded-For"))
}

// ask takes one request into account: rate_limit when its address asks too often.
func (v *visitors) ask(r *http.Request) error {
	where, ok := neighbourhood(v.caller(r))
	if !ok {
		return nil
	}
	if wait := v.requests.take(where, v.now()); wait > 0 {
		return v.refuse(config.BoundAddressRequests, wait, "too many requests from here")
	}
	return nil
}

func (v *visitors) refuse(bound config.Bound, wait time.Duration, text string) error {
	v.reached(bound)
	return tooOften{mesh.Errorf(mesh.RateLimited, "%s; try again in %d s", text, wholeSeconds(wait)), wait}
}

// connect lets a connection begin its handshake, until it is left: rate_limit or capacity when its address has had
// enough. This machine itself has no bounds.
func (v *visitors) connect(r *http.Request) (visit, error) {
	where, ok := neighbourhood(v.caller(r))
	if !ok || direct(r) {
		return visit{}, nil
	}
	now := v.now()
	if wait := v.failures.wait(where, now); wait > 0 {
		return visit{}, v.refuse(config.BoundAddressFailures, wait, "too many connections from here were refused")
	}
	if !v.enter(where) {
		v.reached(config.BoundAddressConnections)
		return visit{}, mesh.Errorf(mesh.Capacity, "there is no room for another connection from here")
	}
	if wait := v.connects.take(where, now); wait > 0 {
		v.leave(where)
		return visit{}, v.refuse(config.BoundAddressConnects, wait, "too many connections from here")
	}
	return visit{v, where}, nil
}

func (v *visitors) enter(where netip.Prefix) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open[where] >= v.set.AddressConnections {
		return false
	}
	v.open[where]++
	return true
}

func (v *visitors) leave(where netip.Prefix) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open[where]--; v.open[where] <= 0 {
		delete(v.open, where)
	}
}

// visit is one connection of an address. The zero visit has no bounds.
type visit struct {
	of    *visitors
	where netip.Prefix
}

// leave ends the visit.
func (v visit) leave() {
	if v.of != nil {
		v.of.leave(v.where)
	}
}

// failed takes into account that the visitor's hello was refused.
func (v visit) failed() {
	if v.of != nil {
		v.of.failures.take(v.where, v.of.now())
	}
}
