package broker

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies are the networks of those whose word on who asks is taken.
type proxies []netip.Prefix

func (p proxies) trust(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// forwardedBy finds who asks: peer, or where that is a trusted proxy, the nearest address in X-Forwarded-For that is
// none. Everything before that one is a stranger's word. A hop that says no address is the one that asks.
func (p proxies) forwardedBy(peer netip.Addr, header []string) netip.Addr {
	peer = peer.Unmap()
	rest := strings.Join(header, ",")
	for rest != "" && p.trust(peer) {
		i := strings.LastIndexByte(rest, ',')
		addr, ok := parseHop(rest[i+1:])
		if !ok {
			return peer
		}
		peer, rest = addr, rest[:max(i, 0)]
	}
	return peer
}

// parseHop reads one entry of X-Forwarded-For. Some proxies write the port, too.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), err == nil
}

// peerOf is the other end of the request's connection; the zero address in a network without addresses.
func peerOf(r *http.Request) netip.Addr {
	addr, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero address, as said
	return addr.Addr().Unmap()
}

// direct reports whether a request comes from this machine itself, and not through a proxy on it.
func direct(r *http.Request) bool {
	for _, h := range []string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-Ip"} {
		if len(r.Header.Values(h)) > 0 {
			return false
		}
	}
	return peerOf(r).IsLoopback()
}
