package cli

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// onTerminal runs a verb whose standard error is a terminal.
func onTerminal(ctx context.Context, sys shell.System) mesh.Exit {
	a := shell.New(sys)
	a.Err.TTY = true
	return run(ctx, a)
}

// TestLesson133VersionNotice: a terminal is told once a day that the daemon is of another version, and at once by a new program.
func TestLesson133VersionNotice(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	mark := w.Home.Daemon.VersionCheck()
	if r := w.Run("list"); r.Err != "" || len(w.Daemon.Recorded()) != 1 {
		t.Errorf("got %q without a terminal, want no word and no question", r.Err)
	}
	w.Program = onTerminal
	want := "[claudemesh] warn the daemon is version 1.2.3, this program " + buildinfo.Version()
	if r := w.Run("list"); !strings.HasPrefix(r.Err, want) {
		t.Errorf("got %q, want %q", r.Err, want)
	}
	for _, age := range []time.Duration{0, 23 * time.Hour} {
		if err := os.Chtimes(mark, clitest.Time.Add(-age), clitest.Time.Add(-age)); err != nil {
			t.Fatal(err)
		}
		if r := w.Run("list"); r.Err != "" {
			t.Errorf("got %q %s later, want no word again", r.Err, age)
		}
	}
	if err := os.Chtimes(mark, clitest.Time.Add(-25*time.Hour), clitest.Time.Add(-25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if r := w.Run("list", "--quiet"); r.Err != "" {
		t.Errorf("got %q with --quiet, want no word", r.Err)
	}
	if r := w.Run("list"); !strings.HasPrefix(r.Err, want) {
		t.Errorf("got %q a day later, want %q", r.Err, want)
	}
	if err := os.WriteFile(mark, []byte("another version"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(mark, clitest.Time, clitest.Time); err != nil {
		t.Fatal(err)
	}
	if r := w.Run("list"); !strings.HasPrefix(r.Err, want) {
		t.Errorf("got %q from a new program, want %q", r.Err, want)
	}
	w.Daemon.Answers[localapi.Version.Route] = localapi.VersionAnswer{DaemonVersion: buildinfo.Version()}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	if r := w.Run("list"); r.Err != "" {
		t.Errorf("got %q of a daemon of the same version, want no word", r.Err)
	}
}

func TestCLILesson1114HomeNotice(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	w.Env["CLAUDEMESH_CONFIG_DIR"] = "/nowhere/at/all"
	w.Daemon.Answers[localapi.Version.Route] = localapi.VersionAnswer{DaemonVersion: buildinfo.Version()}
	if r := w.Run("list"); r.Exit != mesh.ExitOK || r.Err != "" {
		t.Errorf("got exit %d and %q without a terminal, want no word", r.Exit, r.Err)
	}
	w.Program = onTerminal
	if r := w.Run("list"); strings.Count(r.Err, "/nowhere/at/all") != 1 || !strings.HasPrefix(r.Err, "[claudemesh] warn CLAUDEMESH_CONFIG_DIR") {
		t.Errorf("got %q on a terminal, want the folder named once", r.Err)
	}
	if r := w.Run("list", "--json"); r.Err != "" {
		t.Errorf("got %q with --json, want no word", r.Err)
	}
	if r := w.Run("list", "--help"); r.Err != "" {
		t.Errorf("got %q with help, want no word", r.Err)
	}
}
