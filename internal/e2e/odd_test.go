//go:build unix

package e2e

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Fifty verbs that find no daemon at the same time start one, and all of them succeed.
func TestThreat34FiftyVerbsStartOneDaemon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	anna.must("up")
	for _, end := range []func(){
		func() { anna.must("daemon", "down") },
		func() { anna.daemon().kill(t) }, // its socket and its pid file stay
	} {
		end()
		var verbs sync.WaitGroup
		for range 50 {
			verbs.Go(func() {
				if r := anna.run("list", "--json"); r.exit != mesh.ExitOK || !strings.Contains(r.out, "anna-mesh") {
					t.Errorf("exit status %d, want 0 and the mesh:\n%s%s", r.exit, r.out, r.err)
				}
			})
		}
		verbs.Wait()
	}
	log, err := os.ReadFile(anna.paths.Daemon.Log())
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), `"daemon_started"`); n != 3 {
		t.Errorf("a daemon started %d times, want 3:\n%s", n, log)
	}
}

// A second daemon gives way, and the first stays as it is.
func TestThreat34TwoDaemons(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	anna.must("up")
	pid := anna.daemon().pid()
	r := anna.exits(mesh.AlreadyRunning.Exit(), "daemon", "up", "--foreground")
	if anna.daemon().pid() != pid {
		t.Errorf("the daemon's pid is %d, want %d\n%s", anna.daemon().pid(), pid, r.err)
	}
	anna.must("list")
}

// What a dead daemon left behind is in nobody's way, and a process that has its number now is left alone.
func TestThreat34Leftovers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	foreign := exec.Command("sleep", "60")
	if err := foreign.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- foreign.Wait() }()
	t.Cleanup(func() { _ = foreign.Process.Kill() }) // that is its end

	d := anna.paths.Daemon
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stale, err := net.Listen("unix", d.Socket())
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, d.PID(), strconv.Itoa(foreign.Process.Pid))
	anna.exits(mesh.ExitCancelled, "daemon", "status")
	anna.must("daemon", "down")
	write(t, filepath.Join(mkdir(t, anna.paths.Broker.Dir), "broker.pid"), strconv.Itoa(foreign.Process.Pid))
	write(t, anna.paths.Broker.StartedByUp(), strconv.Itoa(foreign.Process.Pid))
	anna.must("down")
	anna.must("up")
	if pid := anna.daemon().pid(); pid == foreign.Process.Pid || pid == 0 {
		t.Errorf("the daemon's pid is %d", pid)
	}
	anna.must("down")
	select {
	case err := <-ended:
		t.Errorf("the foreign process was ended: %v", err)
	default:
	}
}

func mkdir(t testing.TB, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A database that cannot be used is named, with a code, and nothing in its folder is changed.
func TestThreat35UnusableOutbox(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(t *testing.T, path string)
		code  mesh.Code // of the daemon in the foreground; empty: it starts
	}{
		{"directory", func(t *testing.T, path string) { remove(t, path); mkdir(t, path) }, mesh.StoreCorrupt},
		{"not a database", func(t *testing.T, path string) { remove(t, path); write(t, path, strings.Repeat("no database ", 500)) }, mesh.StoreCorrupt},
		{"newer schema", makeNewer, mesh.StoreNewer},
		{"zero bytes", func(t *testing.T, path string) { remove(t, path); write(t, path, "") }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			anna := w.home("anna")
			anna.must("--no-daemon", "list")
			path := anna.paths.Daemon.Outbox()
			tt.spoil(t, path)
			before := snapshot(t, path)
			if tt.code == "" {
				anna.must("daemon", "up")
				return
			}
			r := anna.exits(tt.code.Exit(), "--json", "daemon", "up", "--foreground")
			var v struct {
				Code  mesh.Code
				Error string
			}
			if err := json.Unmarshal([]byte(r.out), &v); err != nil {
				t.Fatalf("%v:\n%s%s", err, r.out, r.err)
			}
			if v.Code != tt.code || !strings.Contains(v.Error, "outbox.db") {
				t.Errorf("got %s, %q; want %s and the name of the file", v.Code, v.Error, tt.code)
			}
			verb := anna.exits(mesh.DaemonStartFailed.Exit(), "list")
			if !strings.Contains(verb.err, anna.paths.Daemon.Log()) {
				t.Errorf("a verb does not name the log:\n%s", verb.err)
			}
			if diff := cmp.Diff(before, snapshot(t, path)); diff != "" {
				t.Errorf("the file was changed (-before +after):\n%s", diff)
			}
		})
	}
}

// An outbox that may only be read is refused, and stays as it is.
func TestThreat35ReadOnlyOutbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	if os.Getuid() == 0 {
		anna.asNobody() // root writes everywhere
	}
	anna.must("--no-daemon", "list")
	path := anna.paths.Daemon.Outbox()
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, path)
	r := anna.exits(mesh.ExitIO, "--no-daemon", "list", "--json")
	if !strings.Contains(r.out, "outbox.db") {
		t.Errorf("the file is not named:\n%s", r.out)
	}
	anna.exits(mesh.DaemonStartFailed.Exit(), "list")
	if diff := cmp.Diff(before, snapshot(t, path)); diff != "" {
		t.Errorf("the file was changed (-before +after):\n%s", diff)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.RemoveAll(path + suffix); err != nil {
			t.Fatal(err)
		}
	}
}

// snapshot is what a path is and holds.
func snapshot(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		return "a folder"
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %d bytes %q", info.Mode(), len(data), data)
}

// config.json belongs to two systems: what is odd about it is accepted where that is safe, else named, and never lost.
func TestThreat36OddConfig(t *testing.T) {
	t.Parallel()
	bom := "\ufeff"
	tests := []struct {
		name   string
		edit   func(text string) string
		mode   os.FileMode
		meshes int // -1: config_unreadable, and the file stays as it is
	}{
		{"as it was", func(s string) string { return s }, 0o600, 1},
		{"readable by others", func(s string) string { return s }, 0o644, 1},
		{"CRLF", func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }, 0o600, 1},
		{"unknown fields", func(s string) string { return strings.Replace(s, "{", `{"theirs": {"a": [1, 2.50]},`, 1) }, 0o600, 1},
		{"half written", func(s string) string { return s[:len(s)/2] }, 0o600, -1},
		{"empty", func(string) string { return "" }, 0o600, -1},
		{"duplicate names", func(s string) string { return strings.Replace(s, "{", `{"meshes": [],`, 1) }, 0o600, -1},
		{"byte order mark", func(s string) string { return bom + s }, 0o600, -1},
		{"10 MB", func(s string) string {
			return strings.Replace(s, "{", `{"padding": "`+strings.Repeat("x", 10<<20)+`",`, 1)
		}, 0o600, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			anna := w.home("anna")
			anna.must("up")
			anna.must("daemon", "down")
			path := anna.paths.Config.File()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			edited := tt.edit(string(data))
			write(t, path, edited)
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			if tt.meshes < 0 {
				refusesConfig(t, anna, edited)
				return
			}
			anna.must("create", "second") // which writes the file
			var meshes []struct{ Slug string }
			anna.ask(&meshes, "list")
			if len(meshes) != tt.meshes+1 {
				t.Errorf("%d meshes, want %d", len(meshes), tt.meshes+1)
			}
			keepsConfig(t, path, edited)
			if log, err := os.ReadFile(anna.paths.Daemon.Log()); err != nil || strings.Contains(string(log), "chmod 600") != (tt.mode != paths.FileMode) {
				t.Errorf("a file of mode %s, and a log (%v) of:\n%s", tt.mode, err, log)
			}
		})
	}
}

// refusesConfig checks that no verb works with a file, that the file is named, and that it stays as it is.
func refusesConfig(t *testing.T, h *home, text string) {
	t.Helper()
	r := h.exits(mesh.DaemonStartFailed.Exit(), "list")
	if !strings.Contains(r.err, "config.json") {
		t.Errorf("a verb does not name the file:\n%s", r.err)
	}
	h.exits(mesh.DaemonStartFailed.Exit(), "create", "second")
	r = h.exits(mesh.ConfigUnreadable.Exit(), "--no-daemon", "list")
	if !strings.Contains(r.err, "config.json") {
		t.Errorf("a verb without a daemon does not name the file:\n%s", r.err)
	}
	after, err := os.ReadFile(h.paths.Config.File())
	if err != nil || string(after) != text {
		t.Errorf("the file has %d bytes after it (%v), want the %d that it had", len(after), err, len(text))
	}
}

// keepsConfig checks that a file that was written again is private and has what others had put into it.
func keepsConfig(t *testing.T, path, edited string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != paths.FileMode {
		t.Errorf("its mode is %s, want %s", info.Mode(), paths.FileMode)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(edited, "theirs") && !strings.Contains(strings.Join(strings.Fields(string(after)), ""), `"theirs":{"a":[1,2.50]}`) {
		t.Errorf("an unknown field was lost:\n%s", after)
	}
}

// versionOffset is where a database file keeps the number of its schema.
const versionOffset = 60

// makeNewer gives a database the schema number of a release to come.
func makeNewer(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint32(data[versionOffset:], 1_000_000)
	write(t, path, string(data))
}
