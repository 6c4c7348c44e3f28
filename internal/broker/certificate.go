package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// certificate is the pair that this broker shows. It follows its files: a renewed certificate counts from the next
// handshake on.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu    sync.Mutex
	pair  *tls.Certificate
	stamp [2]stamp // of the files as they were read last, also when that failed
}

// stamp tells one version of a file from the next.
type stamp struct {
	changed time.Time
	size    int64
}

// openCertificate reads the operator's certificate, or the broker's own one, which it makes at the first start. It
// returns nil where the broker has none.
func openCertificate(set config.Broker, data paths.Broker, now mesh.Clock, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: set.TLSCert, key: set.TLSKey, log: log}
	switch {
	case set.SelfSigned:
		c.cert, c.key = data.TLSCert(), data.TLSKey()
		if err := ownCertificate(data, now()); err != nil {
			return nil, err
		}
	case set.TLSCert == "":
		return nil, nil
	}
	c.stamp = c.stamps()
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, mesh.Errorf(mesh.SettingsRefused, "load the certificate: %w", err)
	}
	c.pair = &pair
	return c, nil
}

// config is for servers.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"}, // a WebSocket needs it
	}
}

// current gives the pair as its files have it. Files that cannot be read, or do not fit, as in the middle of their
// renewal, change nothing.
func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp := c.stamps()
	if stamp == c.stamp {
		return c.pair
	}
	c.stamp = stamp
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		c.log.Warn("changed certificate not loaded, the old one stays", slog.Any(logkey.Err, err))
		return c.pair
	}
	c.log.Info("certificate loaded anew")
	c.pair = &pair
	return c.pair
}

func (c *certificate) stamps() (s [2]stamp) {
	for i, path := range []string{c.cert, c.key} {
		if info, err := os.Stat(path); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

// pin names the key of the pair.
func (c *certificate) pin() string { return seal.KeyPin(c.current().Leaf.RawSubjectPublicKeyInfo) }

// ownLife is how long a certificate of ours says it lasts. Who pins its key does not look.
const ownLife = 10 * 365 * 24 * time.Hour

// ownCertificate makes a key and a certificate that it signs itself, where there are none.
func ownCertificate(data paths.Broker, now time.Time) error {
	_, keyErr := os.Lstat(data.TLSKey())
	_, certErr := os.Lstat(data.TLSCert())
	if !errors.Is(keyErr, fs.ErrNotExist) && !errors.Is(certErr, fs.ErrNotExist) {
		return nil
	}
	if !errors.Is(keyErr, fs.ErrNotExist) {
		return mesh.Errorf(mesh.SettingsRefused, "%s is there and its certificate is not: links pin that key, so it is not replaced", data.TLSKey())
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return mesh.Errorf(mesh.Internal, "make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return mesh.Errorf(mesh.Internal, "make a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "claudemesh broker"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ownLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return mesh.Errorf(mesh.Internal, "make a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return mesh.Errorf(mesh.Internal, "encode a key: %w", err)
	}
	// The certificate goes first: a crash between the two leaves one without a key, which is made anew.
	if err := paths.WriteSecret(data.TLSCert(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})); err != nil {
		return err
	}
	return paths.WriteSecret(data.TLSKey(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}
