package machine

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"strings"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// settingsFor gives the settings of this machine's broker. A new address is written down first, so that every later
// start finds it; it is refused where something depends on the old one. Where others can reach it, the broker gets a
// certificate of its own, unless it has one of an authority (design F1).
func settingsFor(a *shell.App, listen string, meshes []localapi.Mesh) (config.Broker, error) {
	settings, err := brokerSettings(a)
	if err == nil && listen == "" && strings.HasSuffix(settings.Listen, ":0") {
		err = mesh.Errorf(mesh.SettingsRefused, "the broker of this machine listens on %s: links and meshes name its port, so it needs one that stays", settings.Listen)
	}
	asIs := listen == settings.Listen && (loopback(listen) || settings.TLS() || settings.PublicURL != "")
	if err != nil || listen == "" || asIs {
		return settings, err
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil || host != "localhost" && net.ParseIP(host) == nil {
		return settings, mesh.Errorf(mesh.BadRequest, "--listen takes an IP address of this machine and a port, such as 127.0.0.1:7901 or 0.0.0.0:7900, not %q", listen)
	}
	switch {
	case port == "0":
		return settings, mesh.Errorf(mesh.BadRequest, "--listen %s would be another port at each start: links and meshes name it, so choose one that stays", listen)
	case brokerLives(a):
		return settings, mesh.Errorf(mesh.AlreadyRunning, "this machine's broker runs at %s: run `claudemesh down` before it moves", settings.Listen)
	case livesHere(meshes, settings.Listen) && !livesHere(meshes, listen):
		return settings, mesh.Errorf(mesh.AlreadyRunning, "a joined mesh lives at %s and would lose its broker: keep that port", settings.Listen)
	}
	if err := checkUnset(a, listen); err != nil {
		return settings, err
	}
	if err := writeListen(a.Home.Broker, listen, settings.TLSCert == "" && !loopback(listen)); err != nil {
		return settings, err
	}
	return brokerSettings(a)
}

// checkUnset refuses an address where a variable sets another one: it would be written down and not count.
func checkUnset(a *shell.App, listen string) error {
	rows, err := config.ExplainBroker(config.Sources{File: a.Home.Broker.Settings(), Env: a.Sys.Lookup})
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.Key == "listen" && r.Source == config.FromEnv && r.Value != listen {
			return mesh.Errorf(mesh.BadRequest, "the environment sets the broker's address to %v", r.Value)
		}
	}
	return nil
}

// writeListen puts an address into broker.json, and whether it needs a certificate of its own, and leaves the rest as it
// is.
func writeListen(home paths.Broker, listen string, selfSigned bool) error {
	if err := paths.EnsureDir(home.Dir, paths.DirMode); err != nil {
		return err
	}
	written := map[string]wire.RawMessage{}
	data, _, err := paths.ReadSecret(home.Settings())
	if err == nil {
		err = wire.Decode(data, &written)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if written["listen"], err = wire.Encode(listen); err != nil {
		return err
	}
	delete(written, "self_signed")
	if selfSigned {
		written["self_signed"] = wire.RawMessage("true")
	}
	text, err := wire.EncodeIndent(written)
	if err != nil {
		return err
	}
	return paths.WriteSecret(home.Settings(), append(text, '\n'))
}

// livesHere reports whether a joined mesh lives on the broker behind a listen address.
func livesHere(meshes []localapi.Mesh, listen string) bool {
	for _, m := range meshes {
		if isHere(m.BrokerURL, listen) {
			return true
		}
	}
	return false
}

func isHere(brokerURL, listen string) bool {
	u, err := url.Parse(brokerURL)
	if err != nil {
		return false
	}
	host, port, err := net.SplitHostPort(dialAddress(listen))
	if err != nil || u.Port() != port {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	here := net.ParseIP(host)
	return u.Hostname() == host || (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) && (host == "localhost" || here != nil && here.IsLoopback())
}

// loopback reports whether a listen address is reached from this machine only.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// firstMesh makes the mesh of a fresh machine. What listens on one address of the network is reached as others do it:
// by TLS.
func firstMesh(ctx context.Context, a *shell.App, settings config.Broker) (slug string, err error) {
	address := dialAddress(settings.Listen)
	req := localapi.MeshCreateRequest{Name: mesh.SlugOf(mesh.SlugOf(a.Env.Login()) + "-mesh"), BrokerURL: "ws://" + address + "/ws"}
	if !loopback(address) && settings.TLS() {
		req.BrokerURL = "wss://" + address + "/ws"
		if req.Token, err = createToken(a.Home.Broker); err != nil {
			return "", err
		}
		if settings.SelfSigned {
			if req.BrokerPin, err = ownPin(a.Home.Broker); err != nil {
				return "", err
			}
		}
	}
	answer, err := shell.Call(ctx, a, localapi.MeshCreate, shell.CallTime, req)
	return answer.Mesh.Slug, err
}

func createToken(home paths.Broker) (string, error) {
	data, _, err := paths.ReadSecret(home.CreateToken())
	if err != nil {
		return "", mesh.Errorf(mesh.IOError, "read the broker's create token: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// ownPin is the pin of the certificate that this machine's broker made itself.
func ownPin(home paths.Broker) (string, error) {
	data, _, err := paths.ReadSecret(home.TLSCert())
	if err != nil {
		return "", mesh.Errorf(mesh.IOError, "read the broker's certificate: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return "", mesh.Errorf(mesh.IOError, "%s holds no certificate", home.TLSCert())
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", mesh.Errorf(mesh.IOError, "%s: %w", home.TLSCert(), err)
	}
	return seal.KeyPin(cert.RawSubjectPublicKeyInfo), nil
}
