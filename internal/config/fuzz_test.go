package config

import (
	"net"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// FuzzBrokerAddresses gives texts as the addresses of a broker. One that is taken has the form that the broker works
// with; one that is not is refused by its name.
func FuzzBrokerAddresses(f *testing.F) {
	for _, seed := range []string{
		"127.0.0.1:7900", "[::]:0", ":7900", "localhost:http", "host", "[::1", "a b:1", "10.0.0.0/8", "::1,fe80::1%eth0", "192.0.2.1/33",
		"https://mesh.example", "http://user:pass@x", "mesh.example:8443", "127.0.0.1:99999", "\x00:1", "::ffff:10.0.0.1/104",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, flag := range []string{"listen", "public-url", "allowed-hosts", "trusted-proxies"} {
			set, err := LoadBroker(Sources{Flags: map[string]string{flag: text}})
			if err != nil {
				if !mesh.IsCode(err, mesh.SettingsRefused) {
					t.Errorf("--%s %q: got %v, want settings_refused", flag, text, err)
				}
				continue
			}
			if _, _, err := net.SplitHostPort(set.Listen); err != nil {
				t.Errorf("--%s %q: took %q to listen on: %v", flag, text, set.Listen, err)
			}
			networks, err := set.Proxies()
			if err != nil || len(networks) != len(set.TrustedProxies) {
				t.Errorf("--%s %q: took %q, which gives %v and %v", flag, text, set.TrustedProxies, networks, err)
			}
			for _, n := range networks {
				if !n.IsValid() || n != n.Masked() || n.Addr().Zone() != "" {
					t.Errorf("--%s %q: gives the network %v", flag, text, n)
				}
			}
		}
	})
}
