package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// writeCertificate writes a certificate for loopback and its key into files, and gives a pool that trusts it.
func writeCertificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	pair := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &pair.PublicKey, pair))
	pool = x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(der)))
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der},
		key:  {Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(pair))},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, pool
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := writeCertificate(t)
	s := openSite(t, func(o *Options) { o.Settings.TLSCert, o.Settings.TLSKey = cert, key })
	s.base = strings.Replace(s.base, "http://", "https://", 1)
	s.web.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	c := m.enter(t, bob, nil)
	c.send(t, []byte(`{"type":"list_peers","_reqId":"1"}`))
	if got := c.next(t); !strings.Contains(got, bob.pub()) {
		t.Errorf("got %s", got)
	}
	conn, err := s.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	old := tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err := old.Handshake(); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}

func TestBadCertificateIsNamed(t *testing.T) {
	t.Parallel()
	cert, _, _ := writeCertificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Settings: config.DefaultBroker(), Data: paths.At(t.TempDir()).Broker, Now: time.Now, Log: slog.New(slog.DiscardHandler), Listener: l}
	opt.Settings.TLSCert, opt.Settings.TLSKey = cert, cert
	if err := Run(t.Context(), opt); !mesh.IsCode(err, mesh.SettingsRefused) {
		t.Errorf("got %v, want settings_refused", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}

// TestPlainTextIsForThisMachine: one port speaks TLS to everybody, and plain HTTP to loopback peers only.
func TestPlainTextIsForThisMachine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		peer   net.Addr // nil: as it is
		status string
	}{
		{"this machine", nil, "HTTP/1.1 200 OK"},
		{"this machine by IPv6", &net.TCPAddr{IP: net.IPv6loopback, Port: 1}, "HTTP/1.1 200 OK"},
		{"another machine", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 1}, "HTTP/1.1 400 Bad Request"},
		{"an address that is none", &net.UnixAddr{Name: "x", Net: "unix"}, "HTTP/1.1 400 Bad Request"},
	} {
		s := openSite(t, func(o *Options) {
			o.Settings.SelfSigned = true
			o.Listener = awayListener{o.Listener, tc.peer}
		})
		plain := must(s.dial(t.Context()))
		if _, err := fmt.Fprintf(plain, "GET /health HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", s.host()); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(plain)
		if err != nil || !strings.HasPrefix(string(answer), tc.status) || strings.Contains(string(answer), `"db"`) != (tc.status == "HTTP/1.1 200 OK") {
			t.Errorf("%s: got %q, %v, want %s", tc.name, answer, err, tc.status)
		}
		_ = plain.Close()
		secured := tls.Client(must(s.dial(t.Context())), &tls.Config{InsecureSkipVerify: true})
		if _, err := fmt.Fprintf(secured, "GET /health HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", s.host()); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(secured); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK") {
			t.Errorf("%s by TLS: got %q, %v, want 200", tc.name, answer, err)
		}
		_ = secured.Close()
	}
}

// awayListener lets its connections seem to come from elsewhere.
type awayListener struct {
	net.Listener
	peer net.Addr
}

func (l awayListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || l.peer == nil {
		return conn, err
	}
	return awayConn{conn, l.peer}, nil
}

type awayConn struct {
	net.Conn
	peer net.Addr
}

func (c awayConn) RemoteAddr() net.Addr { return c.peer }

// TestSilentConnectionsEnd: who connects and says nothing holds its place for no longer than a request may take.
func TestSilentConnectionsEnd(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes the time of a request's head")
	}
	s := openSite(t, func(o *Options) { o.Settings.SelfSigned = true })
	silent := must(s.dial(t.Context()))
	defer silent.Close()
	if err := silent.SetDeadline(time.Now().Add(4 * headTime)); err != nil {
		t.Fatal(err)
	}
	if n, err := silent.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("got %d bytes, %v, want the end of the connection", n, err)
	}
}

// shown is the pin of the certificate that a broker shows.
func shown(t *testing.T, dial func(context.Context) (net.Conn, error)) string {
	t.Helper()
	conn := tls.Client(must(dial(t.Context())), &tls.Config{InsecureSkipVerify: true})
	defer conn.Close()
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return seal.KeyPin(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
}

func TestOwnCertificateStays(t *testing.T) {
	t.Parallel()
	var data paths.Broker
	own := func(o *Options) { o.Settings.SelfSigned, data = true, o.Data }
	s := openSite(t, own)
	first := shown(t, s.dial)
	for _, path := range []string{data.TLSCert(), data.TLSKey()} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v, want a file that is private", path, info.Mode(), err)
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	kept := data
	again := openSite(t, func(o *Options) { o.Settings.SelfSigned, o.Data = true, kept })
	if got := shown(t, again.dial); got != first {
		t.Errorf("got pin %s after a restart, want %s", got, first)
	}
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(kept.TLSCert()); err != nil {
		t.Fatal(err)
	}
	opt := Options{Settings: config.DefaultBroker(), Data: kept, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	opt.Settings.SelfSigned = true
	if err := Run(t.Context(), opt); !mesh.IsCode(err, mesh.SettingsRefused) {
		t.Errorf("a key without its certificate: got %v, want settings_refused", err)
	}
}

func TestCertificateFollowsItsFiles(t *testing.T) {
	t.Parallel()
	cert, key, _ := writeCertificate(t)
	s := openSite(t, func(o *Options) {
		o.Settings.TLSCert, o.Settings.TLSKey = cert, key
		o.Log = slog.New(slog.DiscardHandler) // it warns of what this test does
	})
	first := shown(t, s.dial)
	replace := func(path string, data []byte, later time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(later) // a clock of files may be coarse
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	newCert, newKey, _ := writeCertificate(t)
	replace(cert, must(os.ReadFile(newCert)), time.Minute)
	if got := shown(t, s.dial); got != first {
		t.Errorf("half renewed: got pin %s, want the old %s", got, first)
	}
	replace(key, must(os.ReadFile(newKey)), time.Minute)
	second := shown(t, s.dial)
	if second == first {
		t.Error("renewed: got the old certificate")
	}
	replace(cert, []byte("nonsense"), 2*time.Minute)
	if got := shown(t, s.dial); got != second {
		t.Errorf("unreadable: got pin %s, want %s", got, second)
	}
}
