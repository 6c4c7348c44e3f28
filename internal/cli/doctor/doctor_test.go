package doctor_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// healthy makes a machine on which nothing is wrong: this program on PATH, Claude Code installed and told, one mesh, and a
// daemon of this version.
func healthy(t *testing.T) *clitest.World {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("scripts and modes are those of Unix")
	}
	w := clitest.WithDaemon(t, cli.Run)
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(w.Root, "bin")
	write(t, filepath.Join(bin, "claude"), "#!/bin/sh\necho 2.1.330\n", 0o700)
	if err := os.Symlink(executable, filepath.Join(bin, "claudemesh")); err != nil {
		t.Fatal(err)
	}
	w.Env["PATH"], w.Unmanageable = bin, true
	secret := seal.NewSecretKey()
	write(t, w.Home.Config.File(), fmt.Sprintf(`{"version":1,"meshes":[{"slug":"team","pubkey":%q,"secretKey":%q}]}`, secret.Public(), secret.Reveal()), 0o600)
	health := clitest.Health()
	health.Version, health.Meshes = buildinfo.Version(), health.Meshes[:1]
	w.Daemon.Answers[localapi.Health.Route] = health
	pings := clitest.Pings()
	pings.Meshes = pings.Meshes[:1]
	w.Daemon.Answers[localapi.PingBrokers.Route] = pings
	if r := w.Run("install"); r.Exit != mesh.ExitOK {
		t.Fatalf("install: got exit %d and %s", r.Exit, r.Out+r.Err)
	}
	w.Used = nil
	w.Daemon.Recorded()
	return w
}

type found struct {
	Level, Detail, Fix string
	Fixed              bool
}

// examine gives what doctor says, by the ids of its checks.
func examine(t *testing.T, w *clitest.World, flags ...string) (map[string]found, mesh.Exit) {
	t.Helper()
	r := w.Run(append([]string{"doctor", "--json"}, flags...)...)
	var v struct {
		OK     bool
		Checks []struct {
			ID string
			found
		}
	}
	if err := json.Unmarshal([]byte(r.Out), &v); err != nil {
		t.Fatalf("got %v of %s%s", err, r.Out, r.Err)
	}
	all := map[string]found{}
	for _, c := range v.Checks {
		all[c.ID] = c.found
	}
	if v.OK != (r.Exit == mesh.ExitOK) {
		t.Errorf("got ok %t and exit %d, want them to agree", v.OK, r.Exit)
	}
	return all, r.Exit
}

// TestCLILesson216Doctor: on a machine where all is well it says so of the daemon too, and of each agent how messages arrive.
func TestCLILesson216Doctor(t *testing.T) {
	t.Parallel()
	w := healthy(t)
	clitest.Golden(t, "healthy", w.Transcript("doctor")+w.Transcript("doctor", "--json"))
}

// plugged is how the settings of Claude Code begin that has our plugin.
const plugged = `{"enabledPlugins":{"claudemesh@claudemesh":true},`

// TestDoctorKnowsThePlugin: who has the plugin alone is not told to install anything, as that would have hooks run twice.
func TestDoctorKnowsThePlugin(t *testing.T) {
	t.Parallel()
	w := healthy(t)
	w.Run("uninstall")
	write(t, filepath.Join(w.Root, ".claude", "settings.json"), plugged+`"x":1}`, 0o600)
	all, exit := examine(t, w)
	for _, id := range []string{"mcp-registered", "hooks-registered", "skill-installed", "plugin"} {
		if f := all[id]; f.Level != "ok" || !strings.Contains(f.Detail, "plugin") && id != "plugin" {
			t.Errorf("got %+v of %s, want it well by the plugin", f, id)
		}
	}
	if exit != mesh.ExitOK {
		t.Errorf("got exit %d, want all well: %+v", exit, all)
	}
	if r := w.Run("doctor", "--json"); strings.Contains(r.Out, "nothing arrives") {
		t.Errorf("got %s, want Claude Code to be told", r.Out)
	}
	if r := w.Run("install", "--client", "claude", "--no-service"); !strings.Contains(r.Err, "hooks run twice") {
		t.Errorf("got %q from install, want to be told of the plugin", r.Err)
	}
	w.Env["PATH"] = "/nowhere"
	w.Run("uninstall")
	if all, _ := examine(t, w); all["plugin"].Level != "fail" {
		t.Errorf("got %+v where the plugin does not find us, want it to fail", all["plugin"])
	}
}

// TestWhatIsWrongIsFound makes one thing wrong after the other, and wants it found, alone, with what to do.
func TestWhatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		id, level, detail string
		make              func(t *testing.T, w *clitest.World)
		mended            bool // by --fix
	}{
		{"binary", "warn", "not on PATH", func(_ *testing.T, w *clitest.World) { w.Env["PATH"] = "/nowhere" }, false},
		{"environment", "warn", "CLAUDEMESH_CONFIG_DIR names /nowhere", func(_ *testing.T, w *clitest.World) { w.Env["CLAUDEMESH_CONFIG_DIR"] = "/nowhere" }, false},
		{"claude-binary", "warn", "does not say its version", func(t *testing.T, w *clitest.World) {
			write(t, filepath.Join(w.Root, "bin", "claude"), "#!/bin/sh\nexit 1\n", 0o700)
		}, false},
		{"claude-binary", "warn", "not on PATH, and its settings are here", func(t *testing.T, w *clitest.World) {
			if err := os.Remove(filepath.Join(w.Root, "bin", "claude")); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"mcp-registered", "fail", "not told: Claude Code", func(t *testing.T, w *clitest.World) { write(t, filepath.Join(w.Root, ".claude.json"), "{}", 0o600) }, false},
		{"mcp-registered", "warn", "Claude Code · not told: Cursor", func(t *testing.T, w *clitest.World) { write(t, filepath.Join(w.Root, ".cursor", "x"), "", 0o600) }, false},
		{"mcp-registered", "fail", "out of date: Claude Code", func(t *testing.T, w *clitest.World) {
			write(t, filepath.Join(w.Root, ".claude.json"), `{"mcpServers":{"claudemesh":{"command":"/old"}}}`, 0o600)
		}, true},
		{"mcp-registered", "fail", ".claude.json is left as it is", func(t *testing.T, w *clitest.World) { write(t, filepath.Join(w.Root, ".claude.json"), "{", 0o600) }, false},
		{"hooks-registered", "warn", "not told: Claude Code", func(t *testing.T, w *clitest.World) {
			write(t, filepath.Join(w.Root, ".claude", "settings.json"), "{}", 0o600)
		}, false},
		{"plugin", "warn", "hooks run twice", func(t *testing.T, w *clitest.World) {
			path := filepath.Join(w.Root, ".claude", "settings.json")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, strings.Replace(string(text), "{", plugged, 1), 0o600)
		}, false},
		{"config", "fail", "config.json is not readable", func(t *testing.T, w *clitest.World) { write(t, w.Home.Config.File(), "{", 0o600) }, false},
		{"config", "warn", "none", func(t *testing.T, w *clitest.World) { write(t, w.Home.Config.File(), `{"meshes":[]}`, 0o600) }, false},
		{"keypairs-valid", "fail", "not a pair: team", func(t *testing.T, w *clitest.World) {
			write(t, w.Home.Config.File(), fmt.Sprintf(`{"meshes":[{"slug":"team","pubkey":%q,"secretKey":%q}]}`, clitest.Key("other"), seal.NewSecretKey().Reveal()), 0o600)
		}, false},
		{"files-private", "fail", "1 file or folder that others may read: ", func(t *testing.T, w *clitest.World) {
			write(t, w.Home.Config.File()+".x", "", 0o644) // not one of ours
			if err := os.Chmod(w.Home.Config.File(), 0o644); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"machine", "fail", "made elsewhere", func(_ *testing.T, w *clitest.World) {
			w.Moved = mesh.Errorf(mesh.HostMismatch, "the folder was made elsewhere")
		}, false},
		{"service", "warn", "the system does not start the daemon", func(_ *testing.T, w *clitest.World) { w.Unmanageable = false }, false},
		{"session", "fail", "it has no token", func(_ *testing.T, w *clitest.World) {
			w.Env["CLAUDE_CODE_SESSION_ID"] = "5f"
			w.Daemon.Answers[localapi.Whoami.Route] = mesh.Errorf(mesh.SessionUnknown, "no such session")
		}, false},
		{"daemon-version", "fail", "1.2.3, this program is ", func(_ *testing.T, w *clitest.World) {
			health := clitest.Health()
			health.Meshes = health.Meshes[:1]
			w.Daemon.Answers[localapi.Health.Route] = health
		}, false},
		{"broker:team", "fail", "reconnecting · no route", func(_ *testing.T, w *clitest.World) {
			health := clitest.Health()
			health.Version, health.Meshes = buildinfo.Version(), health.Meshes[:1]
			health.Meshes[0].Status, health.Meshes[0].LastError = "reconnecting", "no route"
			w.Daemon.Answers[localapi.Health.Route] = health
			w.Daemon.Answers[localapi.PingBrokers.Route] = localapi.PingAnswer{Meshes: []localapi.Ping{{Mesh: "team"}}}
		}, false},
		{"broker:team", "fail", "reconnecting · another key", func(_ *testing.T, w *clitest.World) {
			health := clitest.Health()
			health.Version, health.Meshes = buildinfo.Version(), health.Meshes[:1]
			health.Meshes[0].Status, health.Meshes[0].LastError = "reconnecting", "another key"
			w.Daemon.Answers[localapi.Health.Route] = health
			w.Daemon.Answers[localapi.PingBrokers.Route] = localapi.PingAnswer{Meshes: []localapi.Ping{{Mesh: "team", Code: mesh.PinMismatch}}}
		}, false},
		{"dead-letters", "warn", "2", func(_ *testing.T, w *clitest.World) {
			health := clitest.Health()
			health.Version, health.Meshes = buildinfo.Version(), health.Meshes[:1]
			health.Meshes[0].OutboxDead = 2
			w.Daemon.Answers[localapi.Health.Route] = health
		}, false},
	} {
		t.Run(tc.id+" "+tc.detail, func(t *testing.T) {
			t.Parallel()
			w := healthy(t)
			tc.make(t, w)
			all, exit := examine(t, w)
			got := all[tc.id]
			if got.Level != tc.level || !strings.Contains(got.Detail, tc.detail) || got.Fix == "" || (exit == mesh.ExitOK) != (tc.level == "warn") {
				t.Errorf("got exit %d and %+v, want %s, %q and what to do", exit, got, tc.level, tc.detail)
			}
			if strings.HasSuffix(tc.detail, "another key") && got.Fix != mesh.PinMismatch.Hint() {
				t.Errorf("got %q, want what to do about another key", got.Fix)
			}
			if tc.id == "session" { // --fix is refused there
				return
			}
			all, exit = examine(t, w, "--fix")
			if got := all[tc.id]; got.Fixed != tc.mended || (got.Level == "ok") != tc.mended || tc.mended && exit != mesh.ExitOK {
				t.Errorf("--fix: got exit %d and %+v, want it mended: %t", exit, got, tc.mended)
			}
		})
	}
}

// TestFixStartsTheDaemon: without --fix nothing is started.
func TestFixStartsTheDaemon(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	w.Unmanageable = true
	all, exit := examine(t, w)
	if got := all["daemon"]; exit != mesh.ExitCancelled || got.Detail != "it does not run" || w.DaemonLog() != "" {
		t.Errorf("got exit %d, %+v and %q started, want 1 and nothing started", exit, got, w.DaemonLog())
	}
	if all, _ := examine(t, w, "--fix"); !all["daemon"].Fixed || all["daemon-version"].Level == "" {
		t.Errorf("--fix: got %+v, want a daemon", all["daemon"])
	}
	w.Env["CLAUDECODE"] = "1"
	if r := w.Run("doctor", "--fix"); r.Exit != mesh.ExitPermission {
		t.Errorf("got exit %d for --fix in a session, want it refused", r.Exit)
	}
}
