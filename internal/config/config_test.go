package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// env makes a Lookup of name, value, name, value.
func env(pairs ...string) Lookup {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// settings writes a settings file.
func settings(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBrokerDefaults writes down the bounds of design D3 a second time.
func TestBrokerDefaults(t *testing.T) {
	t.Parallel()
	want := Broker{
		Listen: "127.0.0.1:7900", Create: "token",
		MessageTTL: 7 * 24 * time.Hour, DedupeTTL: 14 * 24 * time.Hour, SessionSeen: 30 * 24 * time.Hour, Lease: 30 * time.Second,
		PresenceLease: 90 * time.Second, StatusTTL: time.Minute, StatusFresh: 30 * time.Second,
		PairRows: 1000, PairBytes: 16 << 20, RecipientBytes: 64 << 20, MeshBytes: 1 << 30, DedupeRows: 100_000, MemberSkills: 100,
		SendPerSecond: 20, SendBurst: 200,
		Connections: 20_000, MeshConnections: 10_000, MemberConnections: 64, MemberHellos: 600, MemberRequests: 6000,
		AddressConnections: 1024, AddressConnects: 3000, AddressFailures: 120, AddressRequests: 60,
		TrustedProxies: []string{"127.0.0.0/8", "::1"}, PeersPage: 1000,
		FrameBytes: 64 << 10, HelloBytes: 16 << 10, HelloTimeout: 5 * time.Second,
		PingInterval: 30 * time.Second, DeadAfter: 75 * time.Second, ShutdownGrace: 5 * time.Second,
	}
	if diff := cmp.Diff(want, DefaultBroker()); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestDaemonDefaults(t *testing.T) {
	t.Parallel()
	want := Daemon{
		BrokerURL: "ws://127.0.0.1:7900/ws", Receipts: ReceiptsTrusted,
		SendWait: 30 * time.Second, ReconnectMin: time.Second, ReconnectMax: 30 * time.Second,
		PingInterval: 30 * time.Second, DeadAfter: 75 * time.Second, ReadLimitBytes: 16 << 20,
		OutboxRetention: 7 * 24 * time.Hour, InboxRetention: 30 * 24 * time.Hour, OfferedLimit: 20, NoticeInterval: 10 * time.Minute,
		WakeMinute: 10, WakeHour: 20, WakeHourTokens: 50_000, WakeSessionHour: 100, WakeAlternating: 6,
		IPCRequests: 64, IPCStreams: 32, IPCBodyBytes: 256 << 10, SSEKeepalive: 15 * time.Second, TCPPort: 47823,
		ClonePolicy:  "refuse",
		LogFileBytes: 10 << 20, LogFiles: 5,
	}
	if diff := cmp.Diff(want, DefaultDaemon()); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := settings(t, `{"lease": "3s", "pair_rows": 3, "allowed_hosts": ["c:1", "d"], "log_level": "error"}`)
	variables := env("CLAUDEMESH_BROKER_LEASE", "2s", "CLAUDEMESH_BROKER_ALLOWED_HOSTS", " a, b ,", "CLAUDEMESH_BROKER_LOG_LEVEL", "")
	flags := map[string]string{"lease": "1s", "color": "never"}
	tests := []struct {
		name   string
		in     Sources
		lease  time.Duration
		hosts  string
		origin map[string]Source
	}{
		{"default", Sources{}, 30 * time.Second, "", map[string]Source{}},
		{"missing file", Sources{File: file + "x"}, 30 * time.Second, "", map[string]Source{}},
		{"file", Sources{File: file}, 3 * time.Second, "c:1,d", map[string]Source{"lease": FromFile, "pair_rows": FromFile, "allowed_hosts": FromFile, "log_level": FromFile}},
		{"variable", Sources{File: file, Env: variables}, 2 * time.Second, "a,b", map[string]Source{"lease": FromEnv, "pair_rows": FromFile, "allowed_hosts": FromEnv, "log_level": FromFile}},
		{"flag", Sources{File: file, Env: variables, Flags: flags}, time.Second, "a,b", map[string]Source{"lease": FromFlag, "pair_rows": FromFile, "allowed_hosts": FromEnv, "log_level": FromFile}},
		{"flag without the others", Sources{Flags: flags}, time.Second, "", map[string]Source{"lease": FromFlag}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := LoadBroker(tc.in)
			if err != nil || got.Lease != tc.lease || strings.Join(got.AllowedHosts, ",") != tc.hosts {
				t.Errorf("got lease %v, hosts %q, %v, want %v, %q", got.Lease, got.AllowedHosts, err, tc.lease, tc.hosts)
			}
			explained, err := ExplainBroker(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			origin := map[string]Source{}
			for _, row := range explained {
				if row.Source != FromDefault {
					origin[row.Key] = row.Source
				}
			}
			if diff := cmp.Diff(tc.origin, origin); diff != "" {
				t.Errorf("sources (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileIsStrict(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		code       mesh.Code
		want       string
	}{
		{"empty", ``, mesh.ConfigUnreadable, ""},
		{"half-written", `{"send_wait": "1s"`, mesh.ConfigUnreadable, ""},
		{"list", `[]`, mesh.ConfigUnreadable, ""},
		{"null", `null`, mesh.ConfigUnreadable, "want an object"},
		{"trailing data", `{} {}`, mesh.ConfigUnreadable, ""},
		{"duplicate", `{"tcp": true, "tcp": false}`, mesh.ConfigUnreadable, ""},
		{"byte order mark", "\xef\xbb\xbf{}", mesh.ConfigUnreadable, "byte order mark"},
		{"bad UTF-8", "{\"broker_url\": \"\xff\"}", mesh.ConfigUnreadable, ""},
		{"too large", `{"a": "` + strings.Repeat("x", 1<<20) + `"}`, mesh.ConfigUnreadable, "larger than 1048576 bytes"},
		{"unknown", `{"send_wiat": "1s"}`, mesh.SettingsRefused, `no setting ["send_wiat"]`},
		{"wrong case", `{"Send_Wait": "1s"}`, mesh.SettingsRefused, `no setting ["Send_Wait"]`},
		{"setting of the other file", `{"listen": "127.0.0.1:1"}`, mesh.SettingsRefused, `no setting ["listen"]`},
		{"number for duration", `{"send_wait": 30}`, mesh.SettingsRefused, "send_wait: want text in quotes, got 30"},
		{"no duration", `{"send_wait": "30"}`, mesh.SettingsRefused, `send_wait: want a duration such as 90s or 24h, got "30"`},
		{"text for number", `{"log_files": "5"}`, mesh.SettingsRefused, `log_files: want a number, got "5"`},
		{"fraction", `{"log_files": 1.5}`, mesh.SettingsRefused, `log_files: want a whole number, got "1.5"`},
		{"number for boolean", `{"tcp": 1}`, mesh.SettingsRefused, "tcp: want true or false, got 1"},
		{"null for text", `{"broker_url": null}`, mesh.SettingsRefused, "broker_url: want text in quotes, got null"},
		{"object for text", `{"broker_url": {}}`, mesh.SettingsRefused, "broker_url: want text in quotes, got {}"},
		{"too small", `{"log_files": 0}`, mesh.SettingsRefused, "log_files: want 1 to 100, got 0"},
		{"too large a number", `{"log_files": 101}`, mesh.SettingsRefused, "log_files: want 1 to 100, got 101"},
		{"overflow", `{"read_limit_bytes": 9223372036854775808}`, mesh.SettingsRefused, "read_limit_bytes: want a whole number"},
		{"too short", `{"inbox_retention": "59s"}`, mesh.SettingsRefused, "inbox_retention: want at least 1m, got 59s"},
		{"level", `{"log_level": "loud"}`, mesh.SettingsRefused, `log_level: want debug, info, warn or error, got "loud"`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path := settings(t, tc.text)
			got, err := LoadDaemon(Sources{File: path})
			if !mesh.IsCode(err, tc.code) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %s that names the file and says %q", err, tc.code, tc.want)
			}
			if diff := cmp.Diff(Daemon{}, got); diff != "" {
				t.Errorf("got settings beside the error:\n%s", diff)
			}
		})
	}
}

func TestFileIsCheckedThoughUnused(t *testing.T) {
	t.Parallel()
	in := Sources{File: settings(t, `{"send_wait": "soon"}`), Flags: map[string]string{"send-wait": "1s"}}
	if _, err := LoadDaemon(in); !mesh.IsCode(err, mesh.SettingsRefused) {
		t.Errorf("got %v, want a bad value refused even where a flag wins", err)
	}
}

func TestFileAdmitsLineEndsAndEveryKind(t *testing.T) {
	t.Parallel()
	path := settings(t, "{\r\n \"tcp\": true,\r\n \"tcp_port\": 0, \"log_level\": \"DEBUG\", \"inbox_retention\": \"1h30m\"}\r\n")
	got, err := LoadDaemon(Sources{File: path})
	if err != nil || !got.TCP || got.TCPPort != 0 || got.LogLevel.String() != "DEBUG" || got.InboxRetention != 90*time.Minute {
		t.Errorf("got %+v, %v, want what the file says", got, err)
	}
}

func TestBadFlagAndVariableAreNamed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   Sources
		want string
	}{
		{Sources{Flags: map[string]string{"pair-rows": "many"}}, `--pair-rows: want a whole number, got "many"`},
		{Sources{Flags: map[string]string{"create": "all"}}, `--create: want token, open, closed, got all`},
		{Sources{Flags: map[string]string{"create": ""}}, `--create: want token, open, closed, got `},
		{Sources{Env: env("CLAUDEMESH_BROKER_LEASE", "1")}, `CLAUDEMESH_BROKER_LEASE: want a duration`},
		{Sources{Env: env("CLAUDEMESH_BROKER_MESH_BYTES", "1")}, `CLAUDEMESH_BROKER_MESH_BYTES: want at least 1024, got 1`},
	}
	for _, tc := range tests {
		_, err := LoadBroker(tc.in)
		if !mesh.IsCode(err, mesh.SettingsRefused) || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("got %v, want settings_refused that begins %q", err, tc.want)
		}
	}
}

func TestContradictions(t *testing.T) {
	t.Parallel()
	broker := []map[string]string{
		{"message-ttl": "2h", "dedupe-ttl": "1h"},
		{"ping-interval": "75s"},
		{"hello-bytes": "8192", "frame-bytes": "4096"},
		{"tls-cert": "a.pem"},
		{"tls-key": "a.pem"},
		{"allowed-hosts": "https://mesh.example"},
		{"listen": "7900"},
		{"public-url": "mesh.example"},
		{"public-url": "ws://mesh.example"},
		{"public-url": "https://user:pass@mesh.example"},
		{"trusted-proxies": "proxy.example"},
		{"trusted-proxies": "10.0.0.1, 10.0.0.0/33"},
		{"trusted-proxies": "fe80::1%eth0"},
	}
	for _, flags := range broker {
		if _, err := LoadBroker(Sources{Flags: flags}); !mesh.IsCode(err, mesh.SettingsRefused) {
			t.Errorf("broker %v: got %v, want settings_refused", flags, err)
		}
	}
	daemon := []map[string]string{
		{"dead-after": "30s"},
		{"reconnect-min": "31s"},
		{"broker-url": "https://mesh.example/ws"},
		{"broker-url": ""},
	}
	for _, flags := range daemon {
		if _, err := LoadDaemon(Sources{Flags: flags}); !mesh.IsCode(err, mesh.SettingsRefused) {
			t.Errorf("daemon %v: got %v, want settings_refused", flags, err)
		}
	}
	fine := map[string]string{"public-url": "https://mesh.example", "tls-cert": "a", "tls-key": "b", "listen": "[::]:0", "allowed-hosts": "mesh.example:8443"}
	if _, err := LoadBroker(Sources{Flags: fine}); err != nil {
		t.Errorf("got %v, want %v admitted", err, fine)
	}
}

// TestDataDir shows that the broker's settings are read from the data folder in force.
func TestDataDir(t *testing.T) {
	t.Parallel()
	first, second, third := t.TempDir(), t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{first: `{"pair_rows": 1}`, second: `{"pair_rows": 2}`, third: `{"pair_rows": 3}`} {
		if err := os.WriteFile(filepath.Join(dir, "broker.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := Sources{File: filepath.Join(first, "broker.json")}
	inEnv, inFlag := in, in
	inEnv.Env = env("CLAUDEMESH_BROKER_DIR", second)
	inFlag.Env = inEnv.Env
	inFlag.Flags = map[string]string{"data-dir": third}
	for i, tc := range []struct {
		in  Sources
		dir string
	}{{in, first}, {inEnv, second}, {inFlag, third}} {
		got, err := LoadBroker(tc.in)
		if err != nil || got.DataDir != tc.dir || got.PairRows != i+1 {
			t.Errorf("got folder %q, pair_rows %d, %v, want %q and %d", got.DataDir, got.PairRows, err, tc.dir, i+1)
		}
	}
	if err := os.WriteFile(in.File, []byte(`{"data_dir": "/"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadBroker(in); !mesh.IsCode(err, mesh.SettingsRefused) {
		t.Errorf("got %v, want data_dir refused in the file that lies in it", err)
	}
}

func BenchmarkLoadDaemon(b *testing.B) {
	path := filepath.Join(b.TempDir(), "settings.json")
	if err := os.WriteFile(path, []byte(`{"send_wait": "1s", "tcp": true}`), 0o600); err != nil {
		b.Fatal(err)
	}
	in := Sources{File: path, Env: env()}
	for b.Loop() {
		if _, err := LoadDaemon(in); err != nil {
			b.Fatal(err)
		}
	}
}

// Variables tighten what the file forbids, and never loosen it.
func TestVariablesOnlyNarrowReceipts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, env, want string }{
		{`{}`, "", ReceiptsTrusted}, {`{}`, "all", ReceiptsTrusted}, {`{}`, "none", ReceiptsNone},
		{`{"receipts":"all"}`, "", ReceiptsAll}, {`{"receipts":"all"}`, "trusted", ReceiptsTrusted}, {`{"receipts":"all"}`, "all", ReceiptsAll},
		{`{"receipts":"none"}`, "trusted", ReceiptsNone},
	} {
		got, err := LoadDaemon(Sources{File: settings(t, c.file), Env: env("CLAUDEMESH_RECEIPTS", c.env)})
		if got.Receipts != c.want || err != nil {
			t.Errorf("%s and %q: got %s, %v, want %s", c.file, c.env, got.Receipts, err, c.want)
		}
	}
}

func TestVariablesOnlyAddToRequireEncrypted(t *testing.T) {
	t.Parallel()
	file := settings(t, `{"require_encrypted":["team","ops"]}`)
	for _, c := range []struct {
		env  Lookup
		want []string
	}{
		{nil, []string{"team", "ops"}},
		{env("CLAUDEMESH_REQUIRE_ENCRYPTED", ""), []string{"team", "ops"}},
		{env("CLAUDEMESH_REQUIRE_ENCRYPTED", "other,ops"), []string{"other", "ops", "team"}},
	} {
		got, err := LoadDaemon(Sources{File: file, Env: c.env})
		if diff := cmp.Diff(c.want, got.RequireEncrypted); diff != "" || err != nil {
			t.Errorf("got %v (-want +got):\n%s", err, diff)
		}
	}
}

func TestVariablesOnlySwitchTheApprovalRelayOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file, env string
		want      bool
	}{
		{`{}`, "", false}, {`{}`, "true", false}, {`{"approval_relay":true}`, "", true}, {`{"approval_relay":true}`, "false", false},
	} {
		got, err := LoadDaemon(Sources{File: settings(t, c.file), Env: env("CLAUDEMESH_APPROVAL_RELAY", c.env)})
		if got.ApprovalRelay != c.want || err != nil {
			t.Errorf("%s and %q: got %v, %v, want %v", c.file, c.env, got.ApprovalRelay, err, c.want)
		}
	}
}
