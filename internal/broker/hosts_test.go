package broker

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	set := config.DefaultBroker()
	set.Listen = "0.0.0.0:7900"
	set.PublicURL = "https://Mesh.Example.org"
	set.AllowedHosts = []string{"other.example:8443", "plain.example"}
	h := newHosts(set, net.TCPAddrFromAddrPort(netip.MustParseAddrPort("[::]:7900")))
	local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.7:7900"))
	for header, want := range map[string][]string{
		"127.0.0.1:7900":        {"127.0.0.1:7900"},
		"localhost:7900":        {"localhost:7900"},
		"LOCALHOST:7900":        {"localhost:7900"},
		"[::1]:7900":            {"[::1]:7900"},
		"127.9.9.9:7900":        {"127.9.9.9:7900"},
		"192.0.2.7:7900":        {"192.0.2.7:7900"},
		"mesh.example.org":      {"mesh.example.org:443"},
		"MESH.example.org:443":  {"mesh.example.org:443"},
		"other.example:8443":    {"other.example:8443"},
		"plain.example":         {"plain.example:443", "plain.example:80"},
		"other.example":         {},
		"mesh.example.org:80":   {},
		"127.0.0.1:7901":        {},
		"127.0.0.1":             {},
		"192.0.2.8:7900":        {},
		"evil.example:7900":     {},
		"localhost.evil:7900":   {},
		"127.0.0.1.nip.io:7900": {},
		"":                      {},
		":7900":                 {},
		"[::1":                  {},
		"a b:7900":              {},
	} {
		if diff := cmp.Diff(want, h.dialled(header, local)); diff != "" {
			t.Errorf("Host %q (-want +got):\n%s", header, diff)
		}
	}
	for origin, foreign := range map[string]bool{
		"http://127.0.0.1:7900":       false,
		"http://localhost:7900":       false,
		"https://mesh.example.org":    false,
		"http://mesh.example.org":     true,
		"http://localhost:3000":       true,
		"https://evil.example":        true,
		"null":                        true,
		"":                            true,
		"file://":                     true,
		"//localhost:7900":            true,
		"ftp://localhost:7900":        true,
		"http://127.0.0.1:7900.evil/": true,
	} {
		if got := h.foreign(origin, local); got != foreign {
			t.Errorf("Origin %q: got foreign %v, want %v", origin, got, foreign)
		}
	}
	if diff := cmp.Diff([]string{"127.0.0.1:7900", "mesh.example.org:443", "other.example:8443", "plain.example:443", "plain.example:80"}, h.signed([]string{"127.0.0.1:7900"})); diff != "" {
		t.Errorf("signed (-want +got):\n%s", diff)
	}
}

// FuzzHosts gives texts as Host and Origin: what is taken is a name of this broker, with a port, in one form.
func FuzzHosts(f *testing.F) {
	set := config.DefaultBroker()
	set.PublicURL = "https://mesh.example.org"
	h := newHosts(set, net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:7900")))
	local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.7:7900"))
	for _, seed := range []string{"127.0.0.1:7900", "[::1%25lo]:7900", "localhost:7900", "mesh.example.org", "evil.example", "127.1:7900", "0x7f000001:7900", "[::ffff:127.0.0.1]:7900", "null", "http://localhost:7900", "//localhost:7900"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range h.dialled(text, local) {
			host, port, err := net.SplitHostPort(name)
			if err != nil || strings.ToLower(name) != name {
				t.Fatalf("%q was taken as %q: %v", text, name, err)
			}
			ip, err := netip.ParseAddr(host)
			ours := host == "localhost" || host == "mesh.example.org" && port == "443" || err == nil && (ip.Unmap().IsLoopback() || ip == netip.MustParseAddr("192.0.2.7"))
			if !ours {
				t.Errorf("%q was taken as %q, which is no name of this broker", text, name)
			}
		}
		if !h.foreign(text, local) && !strings.HasPrefix(strings.ToLower(text), "http") {
			t.Errorf("Origin %q was taken for ours", text)
		}
	})
}
