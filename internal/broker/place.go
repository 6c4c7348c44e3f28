package broker

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// place tells a member where others reach this broker: its public URL, else its address in the network, which they may
// use by TLS only. It is found out at each question, as machines move.
func (s *server) place(ctx context.Context, _ *session.Session, _ protocol.PlaceRequest) (protocol.Place, error) {
	var p protocol.Place
	if s.cert != nil && s.set.SelfSigned {
		p.Pin = s.cert.pin()
	}
	if s.set.PublicURL != "" {
		p.URL = strings.TrimSuffix(s.set.PublicURL, "/")
		return p, nil
	}
	host, port, err := net.SplitHostPort(s.hosts.address)
	if err != nil || !s.set.TLS() {
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
