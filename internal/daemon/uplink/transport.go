package uplink

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Host is the broker of a URL (ws, wss, http or https) as signatures name it: lower-case host:port, the port always
// written (design C1). bad_request when the URL has no ASCII host, or has a user, query or fragment.
func Host(rawURL string) (string, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "wss" || u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port), nil
}

// maxURLBytes is far above any real address.
const maxURLBytes = 1024

// schemes are those of a broker's address, in lower case: code compares prefixes.
var schemes = []string{"ws", "wss", "http", "https"}

// parseURL reads an address that says where, and nothing else. The error does not repeat it: it may hold a password.
func parseURL(rawURL string) (*url.URL, error) {
	if len(rawURL) > maxURLBytes {
		return nil, mesh.Errorf(mesh.BadRequest, "the broker's URL has more than %d bytes", maxURLBytes)
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, mesh.Errorf(mesh.BadRequest, "the broker's URL cannot be read")
	}
	switch {
	case !strings.HasPrefix(rawURL, u.Scheme+"://"), !slices.Contains(schemes, u.Scheme):
		return nil, mesh.Errorf(mesh.BadRequest, "the broker's URL begins with wss:// or https://")
	case u.Hostname() == "" || strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, mesh.Errorf(mesh.BadRequest, "the broker's URL has no host of ASCII characters")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(rawURL, "#"):
		return nil, mesh.Errorf(mesh.BadRequest, "the broker's URL has no user, query or fragment")
	}
	return u, nil
}

// checkURL refuses what a link can never dial. A name is looked at when it is resolved.
func checkURL(rawURL string) error {
	u, err := parseURL(rawURL)
	if err != nil {
		return err
	}
	if u.Scheme != "ws" && u.Scheme != "wss" {
		return mesh.Errorf(mesh.BadRequest, "the broker's URL begins with wss://, or ws:// on this machine")
	}
	return CheckClear(rawURL)
}

// CheckClear refuses with insecure_url a URL without TLS whose host is the address of another machine.
func CheckClear(rawURL string) error {
	u, err := parseURL(rawURL)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err == nil && (u.Scheme == "ws" || u.Scheme == "http") && !ip.Unmap().IsLoopback() {
		return errClear(u.Host)
	}
	return nil
}

func errClear(host string) error {
	return mesh.Errorf(mesh.InsecureURL, "%s is not this machine, and the broker's URL has no TLS", host)
}

// Transport returns a transport that reaches brokers as links do: by TLS with a public certificate, or with that of
// the pin; in clear text on this machine only, which the resolved address decides (insecure_url). It keeps no idle
// connections and uses no proxy. Dial nil means the network of the machine. A bad pin is bad_request.
func Transport(dial DialFunc, pin string) (*http.Transport, error) {
	d, err := newDialer(dial, pin)
	if err != nil {
		return nil, err
	}
	t := bareTransport()
	t.DialContext, t.DialTLSContext = d.clear, d.secure
	return t, nil
}

func bareTransport() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: dialLimit, MaxResponseHeaderBytes: 64 << 10}
}

// dialer makes connections that are ready for HTTP, in clear text or by TLS.
type dialer struct{ clear, secure DialFunc }

func newDialer(dial DialFunc, pin string) (dialer, error) {
	config, err := tlsConfig(pin)
	if err != nil {
		return dialer{}, err
	}
	open := dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialLimit}).DialContext
		open = (&net.Dialer{Timeout: dialLimit, ControlContext: loopbackOnly}).DialContext
	}
	return dialer{
		clear: clearText(open),
		secure: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialTLS(ctx, dial, config, addr)
		},
	}, nil
}

// NoRedirect makes an http.Client return a redirect instead of following it.
func NoRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// loopbackOnly refuses an address before anything is sent to it.
func loopbackOnly(_ context.Context, _, address string, _ syscall.RawConn) error {
	if to, err := netip.ParseAddrPort(address); err != nil || !to.Addr().Unmap().IsLoopback() {
		return errClear(address)
	}
	return nil
}

// clearText refuses connections to other machines that came about all the same. Addresses of no network are those of
// a caller's own dial.
func clearText(dial DialFunc) DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if to, ok := nc.RemoteAddr().(*net.TCPAddr); ok && !to.IP.IsLoopback() {
			_ = nc.Close() // nothing was sent
			return nil, errClear(addr)
		}
		return nc, nil
	}
}

func dialTLS(ctx context.Context, dial DialFunc, config *tls.Config, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	nc, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	config.ServerName = host
	secured := tls.Client(nc, config)
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = nc.Close() // the handshake's error says more
		return nil, err
	}
	return secured, nil
}

// Pin is the text of the pin of a certificate: base64url of the SHA-256 of its public key (SPKI), 43 characters
// (design C3).
func Pin(cert *x509.Certificate) string { return seal.KeyPin(cert.RawSubjectPublicKeyInfo) }

// CheckPin refuses a text that Pin cannot have written, with bad_request.
func CheckPin(pin string) error {
	if raw, err := seal.ParseBase64URL(pin); err != nil || len(raw) != sha256.Size {
		return mesh.Errorf(mesh.BadRequest, "the broker's key pin is not 43 characters of base64url")
	}
	return nil
}

// tlsConfig trusts public certificates, or with a pin exactly its key: name and date of a self-signed certificate
// say nothing.
func tlsConfig(pin string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if pin == "" {
		return config, nil
	}
	if err := CheckPin(pin); err != nil {
		return nil, err
	}
	config.InsecureSkipVerify = true // VerifyConnection does it, also for resumed sessions
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 || subtle.ConstantTimeCompare([]byte(Pin(state.PeerCertificates[0])), []byte(pin)) != 1 {
			return mesh.Errorf(mesh.PinMismatch, "what answers there has another key than the broker of the invite")
		}
		return nil
	}
	return config, nil
}
