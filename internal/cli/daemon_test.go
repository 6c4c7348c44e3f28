package cli

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestVerbsStartTheDaemon walks through the life of a daemon that a verb starts.
func TestVerbsStartTheDaemon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if r := w.run("daemon", "status"); r.exit != mesh.ExitCancelled || !strings.Contains(r.out, "the daemon does not run") || r.err != "" {
		t.Errorf("got exit %d, %q and %q before anything, want 1 and that it does not run", r.exit, r.out, r.err)
	}
	if r := w.run("daemon", "status", "--json"); r.exit != mesh.ExitCancelled || r.out != "{\n  \"schema_version\": \"1.0\",\n  \"running\": false\n}\n" {
		t.Errorf("got exit %d and %q, want 1 and not running", r.exit, r.out)
	}
	if r := w.run("daemon", "version"); r.exit != mesh.ExitNetwork || w.daemonLog() != "" {
		t.Errorf("got exit %d and %q, want 4, and nothing started by a question about it", r.exit, w.daemonLog())
	}
	r := w.run("list")
	if r.exit != mesh.ExitOK || !strings.Contains(r.out, "team") {
		t.Fatalf("got exit %d, %q and %q, want the list from a daemon that was started", r.exit, r.out, r.err)
	}
	if !regexp.MustCompile(`^\[claudemesh\] info daemon restarted automatically \(took \d+ms\)\n$`).MatchString(r.err) {
		t.Errorf("got %q, want the one line that says so", r.err)
	}
	if want := `started with ["daemon" "up" "--foreground"]`; !strings.Contains(w.daemonLog(), want) {
		t.Errorf("got %q, want %s", w.daemonLog(), want)
	}
	if r := w.run("list"); r.err != "" {
		t.Errorf("got %q from a daemon that runs, want no word", r.err)
	}
	if r := w.run("daemon", "up"); r.exit != mesh.ExitExists {
		t.Errorf("got exit %d and %q, want 6", r.exit, r.err)
	}
	pid := strconv.Itoa(readPID(w.home.Daemon.PID()))
	if r := w.run("daemon", "stop"); r.exit != mesh.ExitOK || r.out != "  ✔ the daemon is stopped (pid "+pid+")\n" {
		t.Errorf("got exit %d and %q, want it stopped", r.exit, r.out)
	}
	if r := w.run("daemon", "down", "--json"); r.exit != mesh.ExitOK || r.out != "{\n  \"schema_version\": \"1.0\",\n  \"stopped\": false,\n  \"reason\": \"not_running\"\n}\n" {
		t.Errorf("got exit %d and %q, want success and not_running", r.exit, r.out)
	}
}

func TestDaemonUpPassesItsFlags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if r := w.run("daemon", "up", "--tcp", "--json"); r.exit != mesh.ExitOK || !strings.Contains(r.out, `"detached": true`) {
		t.Fatalf("got exit %d, %q and %q, want it started", r.exit, r.out, r.err)
	}
	if want := `started with ["daemon" "up" "--foreground" "--tcp=true"]`; !strings.Contains(w.daemonLog(), want) {
		t.Errorf("got %q, want %s", w.daemonLog(), want)
	}
}

func TestStartIsQuietWhereNobodyReads(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"-q", "--json"} {
		w := newWorld(t)
		if r := w.run("list", flag); r.exit != mesh.ExitOK || r.err != "" {
			t.Errorf("got exit %d and %q with %s, want a list and no word", r.exit, r.err, flag)
		}
	}
}

func TestDaemonThatDoesNotStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mode = "fails"
	if r := w.run("list"); r.exit != mesh.ExitNetwork || !strings.Contains(r.err, "ended at once") || !strings.Contains(r.err, w.home.Daemon.Log()) {
		t.Errorf("got exit %d and %q, want 4 and the log named", r.exit, r.err)
	}
	w.env["CLAUDEMESH_INTERNAL_NO_AUTOSPAWN"] = "1"
	if r := w.run("list"); r.exit != mesh.ExitNetwork || !strings.Contains(r.err, "CLAUDEMESH_INTERNAL_NO_AUTOSPAWN") {
		t.Errorf("got exit %d and %q, want 4 and the variable named", r.exit, r.err)
	}
}

// hold locks a file as a service does that lives.
func hold(t *testing.T, path string) *flock.Flock {
	t.Helper()
	lock := flock.New(path)
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatalf("lock %s: %v", path, err)
	}
	t.Cleanup(func() { _ = lock.Unlock() }) // the file goes with its folder
	return lock
}

func TestDaemonThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold(t, w.home.Daemon.Lock())
	if err := os.WriteFile(w.home.Daemon.PID(), []byte("77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.run("daemon", "status"); r.exit != mesh.ExitCancelled || !strings.Contains(r.out, "the daemon runs (pid 77) and does not answer: nobody listens at ") {
		t.Errorf("got exit %d and %q, want 1 and what is wrong", r.exit, r.out)
	}
	if r := w.run("daemon", "status", "--json"); !strings.Contains(r.out, "\"running\": true,\n  \"pid\": 77,\n  \"ipc_error\": \"") {
		t.Errorf("got %q, want running with an error", r.out)
	}
}

// TestStopNeedsToKnowWhom: a service that lives and does not say which process it is is left alone, and that is said.
func TestStopNeedsToKnowWhom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold(t, w.home.Daemon.Lock())
	for _, text := range []string{"", "0", "1", "-5", "x"} {
		if err := os.WriteFile(w.home.Daemon.PID(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := w.run("daemon", "down"); r.exit != mesh.ExitIO || !strings.Contains(r.err, "does not say which process it is") {
			t.Errorf("got exit %d and %q for the pid file %q, want 10", r.exit, r.err, text)
		}
	}
}

// TestStopIgnoresStalePIDs: without the lock nothing lives, whatever the pid file says.
func TestStopIgnoresStalePIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.WriteFile(w.home.Daemon.PID(), []byte(strconv.Itoa(os.Getppid())), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.run("daemon", "down"); r.exit != mesh.ExitOK || !strings.Contains(r.out, "does not run") {
		t.Errorf("got exit %d and %q, want nothing stopped", r.exit, r.out)
	}
}

// TestVersionNotice: a terminal is told once a day that the daemon is of another version, and at once by a new program.
func TestVersionNotice(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	mark := w.home.Daemon.VersionCheck()
	if r := w.run("list"); r.err != "" || len(w.daemon.recorded()) != 1 {
		t.Errorf("got %q without a terminal, want no word and no question", r.err)
	}
	w.tty = true
	want := "[claudemesh] warn the daemon is version 1.2.3, this program " + buildinfo.Version()
	if r := w.run("list"); !strings.HasPrefix(r.err, want) {
		t.Errorf("got %q, want %q", r.err, want)
	}
	for _, age := range []time.Duration{0, 23 * time.Hour} {
		if err := os.Chtimes(mark, testTime.Add(-age), testTime.Add(-age)); err != nil {
			t.Fatal(err)
		}
		if r := w.run("list"); r.err != "" {
			t.Errorf("got %q %s later, want no word again", r.err, age)
		}
	}
	if err := os.Chtimes(mark, testTime.Add(-25*time.Hour), testTime.Add(-25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if r := w.run("list", "--quiet"); r.err != "" {
		t.Errorf("got %q with --quiet, want no word", r.err)
	}
	if r := w.run("list"); !strings.HasPrefix(r.err, want) {
		t.Errorf("got %q a day later, want %q", r.err, want)
	}
	if err := os.WriteFile(mark, []byte("another version"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(mark, testTime, testTime); err != nil {
		t.Fatal(err)
	}
	if r := w.run("list"); !strings.HasPrefix(r.err, want) {
		t.Errorf("got %q from a new program, want %q", r.err, want)
	}
	w.daemon.answers[localapi.Version.Route] = localapi.VersionAnswer{DaemonVersion: buildinfo.Version()}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	if r := w.run("list"); r.err != "" {
		t.Errorf("got %q of a daemon of the same version, want no word", r.err)
	}
}

func TestHomeNotice(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	w.env["CLAUDEMESH_CONFIG_DIR"] = "/nowhere/at/all"
	w.daemon.answers[localapi.Version.Route] = localapi.VersionAnswer{DaemonVersion: buildinfo.Version()}
	if r := w.run("list"); r.exit != mesh.ExitOK || r.err != "" {
		t.Errorf("got exit %d and %q without a terminal, want no word", r.exit, r.err)
	}
	w.tty = true
	if r := w.run("list"); strings.Count(r.err, "/nowhere/at/all") != 1 || !strings.HasPrefix(r.err, "[claudemesh] warn CLAUDEMESH_CONFIG_DIR") {
		t.Errorf("got %q on a terminal, want the folder named once", r.err)
	}
	if r := w.run("list", "--json"); r.err != "" {
		t.Errorf("got %q with --json, want no word", r.err)
	}
	if r := w.run("list", "--help"); r.err != "" {
		t.Errorf("got %q with help, want no word", r.err)
	}
}
