package machine_test

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// unitFile is where the unit of a machine lies; the tests that look for it speak systemd's language.
func unitFile(t *testing.T, w *clitest.World) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the commands of this test are systemd's; those of others are in the tests of package unit")
	}
	file, _, err := paths.UnitFile(runtime.GOOS, func(name string) (string, bool) { v, ok := w.Env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestLessonServiceManagersUnitIsRespected walks through the life of a unit: verbs leave starting to the manager while it is there.
func TestLessonServiceManagersUnitIsRespected(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	file := unitFile(t, w)
	if r := w.Run("list"); r.Exit != mesh.ExitOK {
		t.Fatalf("got exit %d and %q, want a daemon that a verb started", r.Exit, r.Err)
	}
	byVerb := clitest.PID(w.Home.Daemon.PID())
	r := w.Run("daemon", "install-service", "--json")
	if r.Exit != mesh.ExitOK || !strings.Contains(r.Out, `"unitPath": "`+file+`"`) || !strings.Contains(r.Out, `"bootCommand": [`) {
		t.Fatalf("got exit %d, %q and %q, want it installed", r.Exit, r.Out, r.Err)
	}
	want := []string{"systemctl --user show-environment", "systemctl --user daemon-reload", "systemctl --user enable --now claudemesh-daemon.service"}
	if diff := cmp.Diff(want, w.Used); diff != "" {
		t.Errorf("the manager was told (-want +got):\n%s", diff)
	}
	if pid := clitest.PID(w.Home.Daemon.PID()); pid == byVerb {
		t.Error("the daemon that a verb had started still runs")
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "daemon up --foreground --service-managed\n") || strings.Contains(string(text), "--mesh") {
		t.Errorf("got the unit %q, %v, want one for all meshes", text, err)
	}

	w.Run("daemon", "down")
	w.Used = nil
	if r := w.Run("list"); r.Exit != mesh.ExitOK || !strings.Contains(r.Err, "restarted automatically") {
		t.Errorf("got exit %d and %q, want a list", r.Exit, r.Err)
	}
	if diff := cmp.Diff([]string{"systemctl --user start claudemesh-daemon.service"}, w.Used); diff != "" {
		t.Errorf("the manager was told (-want +got):\n%s", diff)
	}
	if log := w.DaemonLog(); strings.Count(log, "started with") != 3 || strings.Count(log, `"up"`) != 1 {
		t.Errorf("got starts\n%swant one by a verb, before the unit was there", log)
	}

	w.Used = nil
	if r := w.Run("daemon", "uninstall-service", "--json"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, file) {
		t.Errorf("got exit %d and %q, want the unit removed", r.Exit, r.Out)
	}
	if diff := cmp.Diff([]string{"systemctl --user disable --now claudemesh-daemon.service"}, w.Used); diff != "" {
		t.Errorf("the manager was told (-want +got):\n%s", diff)
	}
	if r := w.Run("daemon", "uninstall-service"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, "the system does not start the daemon") {
		t.Errorf("again: got exit %d and %q, want nothing to do", r.Exit, r.Out)
	}
}

// TestInstallServiceIsRefused: in CI unless allowed, inside a session, and where the manager does not work, which leaves
// nothing behind.
func TestInstallServiceIsRefused(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	file := unitFile(t, w)
	refused := func(want mesh.Exit, words string, args ...string) {
		t.Helper()
		r := w.Run(append([]string{"daemon", "install-service"}, args...)...)
		if r.Exit != want || !strings.Contains(r.Err, words) {
			t.Errorf("got exit %d and %q, want %d and %q", r.Exit, r.Err, want, words)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: a unit was left", words)
		}
	}
	w.Env["GITHUB_ACTIONS"] = "true"
	refused(mesh.ExitPermission, "GITHUB_ACTIONS says that this is a CI system")
	w.Unmanageable = true
	refused(mesh.ExitIO, "no manager here", "--allow-ci-persistent")
	delete(w.Env, "GITHUB_ACTIONS")
	w.Env["CLAUDECODE"] = "1"
	refused(mesh.ExitPermission, "by the human")
	if r := w.Run("daemon", "uninstall-service"); r.Exit != mesh.ExitPermission {
		t.Errorf("got exit %d inside a session, want 7", r.Exit)
	}
	delete(w.Env, "CLAUDECODE")
	w.Unmanageable = false
	if r := w.Run("daemon", "install-service"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, "the system starts the daemon at each login") {
		t.Fatalf("got exit %d, %q and %q, want it installed", r.Exit, r.Out, r.Err)
	}
	w.Run("daemon", "down")
	w.Unmanageable = true
	if r := w.Run("list"); r.Exit != mesh.ExitNetwork || !strings.Contains(r.Err, "service manager did not start the daemon") || !strings.Contains(r.Err, "uninstall-service") {
		t.Errorf("got exit %d and %q, want what is wrong and what to do", r.Exit, r.Err)
	}
	if log := w.DaemonLog(); strings.Contains(log, `"up"`) {
		t.Errorf("got starts\n%swant none by a verb", log)
	}
}

// An installation ends when the daemon reached a broker, and names the meshes whose broker it did not reach.
func TestLesson126InstallingSaysWhatIsNotConnected(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	unitFile(t, w)
	w.Mode = "half"
	if r := w.Run("daemon", "install-service"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out+r.Err, "ops is not connected yet") || strings.Contains(r.Out+r.Err, "team is not") {
		t.Errorf("got exit %d, %q and %q, want it said of ops alone", r.Exit, r.Out, r.Err)
	}
	r := w.Run("daemon", "install-service", "--json")
	if r.Exit != mesh.ExitOK || !strings.Contains(r.Out, `"team"`) || !strings.Contains(r.Out, `"ops"`) {
		t.Errorf("got exit %d and %q, want both", r.Exit, r.Out)
	}
}

// TestServiceManagedEndsWell: what another start cannot mend must not become a loop of starts.
func TestServiceManagedEndsWell(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		args string
		want mesh.Exit
	}{
		{mesh.Errorf(mesh.AlreadyRunning, "another lives"), "--service-managed", mesh.ExitOK},
		{mesh.Errorf(mesh.SettingsRefused, "no such setting"), "--service-managed", mesh.ExitOK},
		{mesh.Errorf(mesh.IOError, "the disk is away"), "--service-managed", mesh.ExitIO},
		{mesh.Errorf(mesh.AlreadyRunning, "another lives"), "--foreground", mesh.ExitExists},
	} {
		w := clitest.New(t, func(ctx context.Context, sys shell.System) mesh.Exit {
			sys.Services.Daemon = func(context.Context, shell.Service) error { return tc.err }
			return cli.Run(ctx, sys)
		})
		if r := w.Run("daemon", "up", "--foreground", tc.args); r.Exit != tc.want || !strings.Contains(r.Err, tc.err.Error()) {
			t.Errorf("%v, %s: got exit %d and %q, want %d and the reason", tc.err, tc.args, r.Exit, r.Err, tc.want)
		}
	}
}

// An installation that cannot be leaves a daemon running: one where no manager is was never stopped, and one whose unit the
// manager does not start is started again.
func TestFailedInstallationChangesNothing(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	file := unitFile(t, w)
	if r := w.Run("list"); r.Exit != mesh.ExitOK {
		t.Fatalf("got exit %d and %q, want a daemon that a verb started", r.Exit, r.Err)
	}
	pid := clitest.PID(w.Home.Daemon.PID())
	w.Unmanageable = true
	r := w.Run("daemon", "install-service")
	if r.Exit != mesh.ExitIO || !strings.Contains(r.Err, "no service manager serves this user here") {
		t.Errorf("got exit %d and %q, want it said", r.Exit, r.Err)
	}
	if now := clitest.PID(w.Home.Daemon.PID()); now != pid || w.Run("daemon", "status").Exit != mesh.ExitOK {
		t.Errorf("got the daemon %d, want %d as before", now, pid)
	}
	w.Unmanageable, w.Unstartable = false, true
	r = w.Run("daemon", "install-service")
	if r.Exit != mesh.ExitIO || !strings.Contains(r.Err, "does not start") {
		t.Errorf("got exit %d and %q, want it said", r.Exit, r.Err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a unit was left")
	}
	if r := w.Run("daemon", "status"); r.Exit != mesh.ExitOK {
		t.Errorf("got exit %d and %q, want a daemon that runs again", r.Exit, r.Out)
	}
}

// A flag that cannot reach a daemon that the service manager starts is not passed over in silence.
func TestFlagsAndUnits(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	unitFile(t, w)
	if r := w.Run("daemon", "install-service"); r.Exit != mesh.ExitOK {
		t.Fatalf("got exit %d and %q, want it installed", r.Exit, r.Err)
	}
	w.Run("daemon", "down")
	r := w.Run("daemon", "up", "--tcp")
	if r.Exit != mesh.ExitOK || !strings.Contains(r.Err, "put tcp = true into "+w.Home.Config.Settings()) {
		t.Errorf("got exit %d and %q, want to hear where it belongs", r.Exit, r.Err)
	}
}

// TestCLILesson115InstallingAgain: who installs twice, or a new release over an old one, has one unit and one daemon.
func TestCLILesson115InstallingAgain(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	file := unitFile(t, w)
	before := 0
	for range 2 {
		if r := w.Run("daemon", "install-service", "--json"); r.Exit != mesh.ExitOK {
			t.Fatalf("got exit %d, %q and %q, want it installed", r.Exit, r.Out, r.Err)
		}
		pid := clitest.PID(w.Home.Daemon.PID())
		if pid == 0 || pid == before {
			t.Errorf("the daemon has the pid %d, want one that was started by this unit", pid)
		}
		before = pid
	}
	if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), "ExecStart=") != 1 {
		t.Errorf("got the unit %q, %v, want one start", text, err)
	}
	if r := w.Run("list"); r.Exit != mesh.ExitOK || r.Err != "" {
		t.Errorf("got exit %d and %q, want the daemon that runs", r.Exit, r.Err)
	}
}

// TestCLILesson116ServicesServeEveryMesh: what an older unit says of one mesh narrows nothing.
func TestCLILesson116ServicesServeEveryMesh(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	r := w.Run("daemon", "up", "--foreground", "--service-managed", "--mesh", "team")
	if r.Exit != mesh.ExitOK || len(w.Used) != 1 || strings.Contains(w.Used[0], "team") || !strings.Contains(r.Err, "serves all joined meshes") {
		t.Errorf("got exit %d, %q and %q, want all meshes served, and said so", r.Exit, w.Used, r.Err)
	}
	w.Used = nil
	if r := w.Run("daemon", "up", "--foreground", "--mesh", "team"); r.Exit != mesh.ExitOK || len(w.Used) != 1 || !strings.Contains(w.Used[0], "team") {
		t.Errorf("got exit %d and %q, want a user who says so by hand heard", r.Exit, w.Used)
	}
}
