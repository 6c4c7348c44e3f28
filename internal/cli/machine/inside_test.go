package machine

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

func TestIsHere(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		url, listen string
		want        bool
	}{
		{"ws://127.0.0.1:7900/ws", "127.0.0.1:7900", true}, {"ws://localhost:7900/ws", "127.0.0.1:7900", true},
		{"ws://127.0.0.1:7900/ws", "localhost:7900", true}, {"ws://127.0.0.1:7900/ws", "0.0.0.0:7900", true},
		{"ws://[::1]:7900/ws", "[::]:7900", true}, {"ws://127.0.0.1:7900/ws", ":7900", true},
		{"ws://127.0.0.1:7901/ws", "127.0.0.1:7900", false}, {"wss://mesh.example.com/ws", "127.0.0.1:7900", false},
		{"wss://mesh.example.com:7900/ws", "0.0.0.0:7900", false}, {"wss://10.0.0.5:7900/ws", "10.0.0.5:7900", true},
		{"ws://127.0.0.1:7900/ws", "10.0.0.5:7900", false}, {"%", "127.0.0.1:7900", false}, {"ws://127.0.0.1:7900", "nonsense", false},
	} {
		if got := isHere(tc.url, tc.listen); got != tc.want {
			t.Errorf("got %t for %s behind %s, want %t", got, tc.url, tc.listen, tc.want)
		}
	}
}

func TestDialAddress(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:1", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1", ":1": "127.0.0.1:1", "host:1": "host:1", "10.0.0.1:1": "10.0.0.1:1", "x": "x",
	} {
		if got := dialAddress(listen); got != want {
			t.Errorf("got %s for %s, want %s", got, listen, want)
		}
	}
}

// TestWriteUpIsTrue: what is printed depends on what is there.
func TestWriteUpIsTrue(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]upView{
		"works on this machine only": {Program: "claudemesh", Meshes: []meshUp{{Slug: "a", Status: "open", IsOwner: true, Here: true}}},
		"another machine or person":  {Program: "claudemesh", Meshes: []meshUp{{Slug: "x"}, {Slug: "a", Status: "open", IsOwner: true}}},
	} {
		var out bytes.Buffer
		writeUp(term.NewStream(&out, true), v)
		if !strings.Contains(out.String(), "claudemesh share --mesh a\n") || !strings.Contains(out.String(), want) {
			t.Errorf("got %q, want how to invite, which %s", out.String(), want)
		}
	}
	var out bytes.Buffer
	writeUp(term.NewStream(&out, true), upView{Program: "claudemesh", Meshes: []meshUp{{Slug: "x", Status: "open"}}})
	if strings.Contains(out.String(), "share") || strings.Contains(out.String(), "broker") {
		t.Errorf("got %q, want no word of inviting or a broker where there is neither", out.String())
	}
}

// TestUpFailsHere: a mesh of this machine that is not connected is a failure.
func TestUpFailsHere(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := shell.New(shell.System{Stdout: &out, Stderr: &out, Lookup: func(string) (string, bool) { return "", false }})
	err := finishUp(a, upView{Header: shell.NewHeader(), Meshes: []meshUp{{Slug: "here", Status: "connecting", Here: true}}})
	if err != shell.Exit(mesh.ExitNetwork) || !strings.Contains(out.String(), "the mesh here is not connected: connecting") {
		t.Errorf("got %v and %q, want exit 4 and why", err, out.String())
	}
}

// TestListenForOthers: an address that other machines reach gets TLS, where the operator has none; one of this machine
// alone needs none.
func TestListenForOthers(t *testing.T) {
	t.Parallel()
	here := []localapi.Mesh{{BrokerURL: "ws://127.0.0.1:7900/ws"}}
	for _, tc := range []struct {
		before, listen string
		meshes         []localapi.Mesh
		code           mesh.Code // empty: accepted
		self           bool
	}{
		{`{}`, "0.0.0.0:7900", here, "", true},
		{`{"lease": "10s"}`, "[::]:7900", here, "", true},
		{`{}`, "192.0.2.7:7900", nil, "", true},
		{`{}`, "192.0.2.7:7900", here, mesh.AlreadyRunning, false},
		{`{}`, "0.0.0.0:7901", here, mesh.AlreadyRunning, false},
		{`{"tls_cert": "/c.pem", "tls_key": "/k.pem"}`, "0.0.0.0:7900", nil, "", false},
		{`{"listen": "0.0.0.0:7900", "self_signed": true}`, "127.0.0.1:7900", here, "", false},
		{`{"listen": "0.0.0.0:7900"}`, "0.0.0.0:7900", here, "", true},
		{`{"listen": "0.0.0.0:7900", "public_url": "https://mesh.example"}`, "0.0.0.0:7900", here, "", false},
		{`{}`, "mesh.example:7900", nil, mesh.BadRequest, false},
		{`{}`, "7900", nil, mesh.BadRequest, false},
		{`{}`, "127.0.0.1:0", nil, mesh.BadRequest, false},
		{`{"listen": "127.0.0.1:0"}`, "", nil, mesh.SettingsRefused, false},
	} {
		root := t.TempDir()
		a := shell.New(shell.System{Stdout: io.Discard, Stderr: io.Discard, Lookup: func(string) (string, bool) { return "", false }})
		a.Home = paths.At(root)
		if err := os.MkdirAll(a.Home.Broker.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(a.Home.Broker.Settings(), []byte(tc.before), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := settingsFor(a, tc.listen, tc.meshes)
		if tc.code != "" {
			if !mesh.IsCode(err, tc.code) {
				t.Errorf("%s after %s: got %v, want %s", tc.listen, tc.before, err, tc.code)
			}
			continue
		}
		if err != nil || got.Listen != tc.listen || got.SelfSigned != tc.self {
			t.Errorf("%s after %s: got %s, self-signed %t, %v, want self-signed %t", tc.listen, tc.before, got.Listen, got.SelfSigned, err, tc.self)
		}
	}
}

func TestBrokerURL(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		set  config.Broker
		want string
	}{
		{config.Broker{Listen: "127.0.0.1:1"}, "http://127.0.0.1:1"},
		{config.Broker{Listen: "0.0.0.0:1", SelfSigned: true}, "http://127.0.0.1:1"},
		{config.Broker{Listen: "192.0.2.7:1", SelfSigned: true}, "https://192.0.2.7:1"},
		{config.Broker{Listen: "0.0.0.0:1", TLSCert: "c"}, "https://127.0.0.1:1"},
	} {
		if got := brokerURL(tc.set); got != tc.want {
			t.Errorf("%+v: got %s, want %s", tc.set, got, tc.want)
		}
	}
}
