package broker

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/config"
)

// trusting makes the proxies of a setting.
func trusting(list ...string) proxies {
	set := config.DefaultBroker()
	set.TrustedProxies = list
	return must(set.Proxies())
}

func TestForwardedIsBelievedOfTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trusted []string
		peer    string
		header  []string
		want    string
	}{
		"no header":                       {[]string{"127.0.0.0/8"}, "127.0.0.1", nil, "127.0.0.1"},
		"a proxy here":                    {[]string{"127.0.0.0/8"}, "127.0.0.1", []string{"192.0.2.1"}, "192.0.2.1"},
		"nobody is trusted":               {nil, "127.0.0.1", []string{"192.0.2.1"}, "127.0.0.1"},
		"a stranger's word":               {[]string{"127.0.0.0/8"}, "198.51.100.7", []string{"192.0.2.1"}, "198.51.100.7"},
		"a client that lies":              {[]string{"127.0.0.0/8"}, "127.0.0.1", []string{"10.9.9.9, 192.0.2.1"}, "192.0.2.1"},
		"two proxies":                     {[]string{"127.0.0.1", "10.0.0.0/8"}, "127.0.0.1", []string{"192.0.2.1, 10.1.2.3"}, "192.0.2.1"},
		"two proxies and a lie":           {[]string{"127.0.0.1", "10.0.0.0/8"}, "127.0.0.1", []string{"10.9.9.9, 192.0.2.1, 10.1.2.3"}, "192.0.2.1"},
		"two headers":                     {[]string{"127.0.0.1", "10.0.0.0/8"}, "127.0.0.1", []string{"203.0.113.1", "192.0.2.1, 10.1.2.3"}, "192.0.2.1"},
		"everybody is trusted":            {[]string{"0.0.0.0/0"}, "127.0.0.1", []string{"192.0.2.1, 10.1.2.3"}, "192.0.2.1"},
		"with a port":                     {[]string{"::1"}, "::1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		"IPv4 in IPv6":                    {[]string{"127.0.0.1"}, "::ffff:127.0.0.1", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		"a name":                          {[]string{"127.0.0.1"}, "127.0.0.1", []string{"unknown"}, "127.0.0.1"},
		"a name behind an address":        {[]string{"127.0.0.1"}, "127.0.0.1", []string{"192.0.2.1, unknown"}, "127.0.0.1"},
		"an empty hop":                    {[]string{"127.0.0.1"}, "127.0.0.1", []string{"192.0.2.1,"}, "127.0.0.1"},
		"only commas":                     {[]string{"127.0.0.1"}, "127.0.0.1", []string{",,,"}, "127.0.0.1"},
		"a zone":                          {[]string{"127.0.0.1"}, "127.0.0.1", []string{"fe80::1%eth0"}, "fe80::1"},
		"an address of the proxy's inner": {[]string{"10.0.0.0/8"}, "10.1.2.3", []string{"10.1.2.4"}, "10.1.2.4"},
	} {
		got := trusting(c.trusted...).forwardedBy(netip.MustParseAddr(c.peer), c.header)
		if got != netip.MustParseAddr(c.want) {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	if got := trusting("0.0.0.0/0").forwardedBy(netip.Addr{}, []string{"192.0.2.1"}); got.IsValid() {
		t.Errorf("in a network without addresses: got %s, want none", got)
	}
}

// FuzzForwarded feeds headers to a broker behind a proxy: whatever a client writes in front, who asks is the last
// address that the proxy added.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "192.0.2.1", "a, b", "[::1]:1", ",", "127.0.0.1, 127.0.0.1", "::ffff:127.0.0.1%x", strings.Repeat("1,", 100)} {
		f.Add(seed)
	}
	p := trusting("127.0.0.0/8", "::1")
	proxy, client := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, text string) {
		if got := p.forwardedBy(proxy, []string{text}); !got.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Errorf("%q gives %s, want an address that has one form", text, got)
		}
		for _, header := range [][]string{{text, client.String()}, {text + ", " + client.String()}} {
			if got := p.forwardedBy(proxy, header); got != client {
				t.Errorf("%q gives %s, want what the proxy saw, %s", header, got, client)
			}
		}
		if got := p.forwardedBy(client, []string{text}); got != client {
			t.Errorf("%q of a stranger gives %s, want its own address", text, got)
		}
	})
}
