package broker

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// place knows where others reach this broker.
type place struct {
	set     config.Broker
	cert    *certificate // nil without TLS
	address string       // that is listened on
}

// tell tells a member: the public URL, else the address in the network, which others may use by TLS only. It is found
// out at each question, as machines move.
func (w place) tell(ctx context.Context, _ *session.Session, _ protocol.PlaceRequest) (protocol.Place, error) {
	var p protocol.Place
	if w.cert != nil && w.set.SelfSigned {
		p.Pin = w.cert.pin()
	}
	if w.set.PublicURL != "" {
		p.URL = strings.TrimSuffix(w.set.PublicURL, "/")
		return p, nil
	}
	host, port, err := net.SplitHostPort(w.address)
	if err != nil || !w.set.TLS() {
		return protocol.Place{}, nil
	}
	ip, err := netip.ParseAddr(host)
	if err == nil && ip.IsUnspecified() {
		ip = outward(ctx)
	}
	if err != nil || !ip.IsValid() || ip.Unmap().IsLoopback() {
		return protocol.Place{}, nil
	}
	p.URL = "https://" + net.JoinHostPort(ip.Unmap().String(), port)
	return p, nil
}

// outward is this machine's address towards the network: the one that a packet to elsewhere would leave from, else the
// first that is no loopback. It sends nothing. The zero address means that there is no network.
func outward(ctx context.Context) netip.Addr {
	if conn, err := (&net.Dialer{}).DialContext(ctx, "udp", "192.0.2.1:9"); err == nil { // TEST-NET-1: nobody's address
		defer func() { _ = conn.Close() }() // nothing was sent
		if ip, ok := addrOf(conn.LocalAddr()); ok {
			return ip
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().IsGlobalUnicast() {
			return prefix.Addr()
		}
	}
	return netip.Addr{}
}
