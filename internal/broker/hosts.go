package broker

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/config"
)

// hosts knows the names under which this broker may be addressed (design F2): loopback names, the listen address and
// the machine's own addresses with the port it listens on, the public URL, and what the operator allows besides.
// Everything else is a page that has its own name point to this machine.
type hosts struct {
	names  []string // host:port in lower case: public URL and allowed hosts
	ports  []string // of the listener
	listen string   // host of the listen address

	address string // host:port that is listened on
}

// newHosts takes the configured listen address and the real one: port 0 is known only afterwards, and behind a
// test's memory network only before.
func newHosts(set config.Broker, addr net.Addr) hosts {
	var h hosts
	for _, a := range []string{set.Listen, addr.String()} {
		if host, port, err := net.SplitHostPort(a); err == nil && port != "0" {
			h.ports = append(h.ports, port)
			h.listen, h.address = strings.ToLower(host), a
		}
	}
	if u, err := url.Parse(set.PublicURL); err == nil && u.Host != "" {
		h.names = append(h.names, withPort(u))
	}
	for _, name := range set.AllowedHosts {
		h.names = append(h.names, ends(strings.ToLower(name))...)
	}
	return h
}

// withPort gives the lower-case host:port of a URL, the port always written (design C1).
func withPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "443", false: "80"}[u.Scheme == "https" || u.Scheme == "wss"]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// ends writes the port of a Host header: without one it is that of http or of https, which only the client knows.
func ends(header string) []string {
	if _, _, err := net.SplitHostPort(header); err == nil {
		return []string{header}
	}
	host := strings.TrimSuffix(strings.TrimPrefix(header, "["), "]")
	return []string{net.JoinHostPort(host, "443"), net.JoinHostPort(host, "80")}
}

// dialled gives what a Host header may say under which host:port this broker was dialled; none means that the name is
// not ours. Local is this end of the connection.
func (h hosts) dialled(header string, local net.Addr) []string {
	return slices.DeleteFunc(ends(strings.ToLower(header)), func(hostport string) bool {
		return !slices.Contains(h.names, hostport) && !h.own(hostport, local)
	})
}

// own reports whether hostport is this machine by its own name or address, at a port that is listened on.
func (h hosts) own(hostport string, local net.Addr) bool {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil || !slices.Contains(h.ports, port) {
		return false
	}
	if host == "localhost" || host == h.listen && host != "" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	here, ok := addrOf(local)
	return ip.IsLoopback() || ok && ip.Unmap() == here
}

// signed gives every host:port that a client may have signed who came under the given ones: its own, or the public
// one when a proxy in between rewrites the header.
func (h hosts) signed(dialled []string) []string {
	return slices.Compact(append(slices.Clone(dialled), h.names...))
}

// foreign reports whether an Origin header is of a page that is not ours.
func (h hosts) foreign(origin string, local net.Addr) bool {
	u, err := url.Parse(origin)
	return err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(h.dialled(withPort(u), local)) == 0
}

// addrOf gives the IP of an address, where it has one.
func addrOf(a net.Addr) (netip.Addr, bool) {
	if a == nil {
		return netip.Addr{}, false
	}
	ap, err := netip.ParseAddrPort(a.String())
	return ap.Addr().Unmap(), err == nil
}
