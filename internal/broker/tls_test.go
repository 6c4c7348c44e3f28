package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// certificate writes a certificate for loopback and its key into files, and gives a pool that trusts it.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
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
	cert, key, pool := certificate(t)
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
	cert, _, _ := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	set := Options{}.Settings
	set.TLSCert, set.TLSKey = cert, cert
	if _, err := listen(t.Context(), set, l); !mesh.IsCode(err, mesh.SettingsRefused) {
		t.Errorf("got %v, want settings_refused", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}
