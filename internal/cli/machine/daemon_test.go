package machine_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestDaemon(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, cli.Run, "daemon", []clitest.Line{
		{Args: "daemon status"},
		{Args: "daemon status --json"},
		{Args: "daemon version"},
		{Args: "daemon version --json"},
		{Args: "daemon up"},
		{Args: "daemon restart"},
		{Args: "daemon restart --json"},
		{Args: "daemon up --foreground --tcp"},
		{Args: "daemon up --foreground --tcp --public-health"},
		{Args: "daemon up --foreground --tcp-public-health"},
		{Args: "daemon start --foreground --no-tcp --mesh team,research --name x"},
		{Args: "daemon up --foreground --service-managed --mesh team"},
		{Args: "daemon up --mesh="},
		{Args: "daemon outbox"},
		{Args: "daemon outbox list --failed --json"},
		{Args: "daemon outbox list --json id,status"},
		{Args: "daemon outbox --json=id"},
		{Args: "daemon outbox --done --limit 3 --mesh team", Given: clitest.Answer(localapi.Outbox.Route, localapi.OutboxAnswer{})},
		{Args: "daemon outbox --done --pending"},
		{Args: "daemon outbox lits"},
		{Args: "daemon outbox --limit 501"},
		{Args: "daemon outbox list --inflight"},
		{Args: "daemon outbox inspect 5f0d2a44"},
		{Args: "daemon outbox inspect 5f0d2a44 --mesh team --json"},
		{Args: "daemon outbox inspect row-1", Given: clitest.Answer(localapi.OutboxInspect.Route, forgotten())},
		{Args: "daemon outbox inspect"},
		{Args: "daemon outbox requeue row-1 --new-client-id mine"},
		{Args: "daemon outbox requeue row-1 --new-client-id mine --patch-payload shorter --json", Given: clitest.Answer(localapi.OutboxRequeue.Route, localapi.RequeueAnswer{
			AbortedRowID: "row-1", NewRowID: "row-3", NewClientMessageID: "mine", Mesh: "team", TargetSpec: "@ops", MayBeDoubled: true,
		})},
		{Args: "daemon outbox requeue row-2 --new-client-id mine", Given: clitest.Answer(localapi.OutboxRequeue.Route, mesh.Errorf(mesh.MessageSettled, "the broker has it"))},
		{Args: "daemon outbox cancel row-1"},
		{Args: "daemon outbox cancel row-1 --json", Given: clitest.Answer(localapi.OutboxCancel.Route, localapi.CancelAnswer{
			AbortedRowID: "row-1", ClientMessageID: clitest.ClientID, Mesh: "team", TargetSpec: "@ops", MayBeSent: true,
		})},
		{Args: "daemon outbox cancel row-1", Given: clitest.Answer(localapi.OutboxCancel.Route, mesh.Errorf(mesh.MessageInflight, "it is under way"))},
		{Args: "daemon stauts"},
	})
}

// unsound is a machine whose stored data is damaged.
func unsound(w *clitest.World) {
	w.Faults = []string{"2: copy without its message", "1: copy for nobody"}
}

func TestBrokerUpkeep(t *testing.T) {
	t.Parallel()
	stands := func(w *clitest.World) {
		if err := os.MkdirAll(w.Home.Broker.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(w.Home.Broker.DB(), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inside := func(w *clitest.World) { w.Env["CLAUDECODE"] = "1" }
	clitest.Verbs(t, cli.Run, "brokerkeep", []clitest.Line{
		{Args: "broker check"},
		{Args: "broker check --json", Given: unsound},
		{Args: "broker check --data-dir /srv/claudemesh", Given: unsound},
		{Args: "broker backup"},
		{Args: "broker backup /backups/today.db --json"},
		{Args: "broker backup one two"},
		{Args: "broker backup x", Given: inside},
		{Args: "broker restore old.db"},
		{Args: "broker restore old.db", Given: stands},
		{Args: "broker restore /old.db --yes", Given: stands},
		{Args: "broker restore /old.db --json"},
		{Args: "broker restore"},
		{Args: "broker restore old.db", Given: inside},
	})
}

func TestDaemonUpkeep(t *testing.T) {
	t.Parallel()
	with := func(name, text string) func(w *clitest.World) {
		return func(w *clitest.World) {
			w.Env["CLAUDEMESH_CONFIG_DIR"] = w.Home.Config.Dir
			if err := os.WriteFile(w.Home.Config.Dir+"/"+name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	typed := func(text string) func(w *clitest.World) { return func(w *clitest.World) { w.Stdin = text } }
	inside := func(w *clitest.World) { w.Env["CLAUDECODE"] = "1" }
	clitest.Verbs(t, cli.Run, "daemonkeep", []clitest.Line{
		{Args: "daemon check"},
		{Args: "daemon check --json", Given: unsound},
		{Args: "daemon backup"},
		{Args: "daemon backup /stick/mine.cmb --passphrase-file - --json", Given: typed("correct horse battery\nmore\n")},
		{Args: "daemon backup --passphrase-file -", Given: typed("short\n")},
		{Args: "daemon backup --passphrase-file -", Given: typed("\n")},
		{Args: "daemon backup --passphrase-file /nowhere"},
		{Args: "daemon backup", Given: inside},
		{Args: "daemon restore mine.cmb"},
		{Args: "daemon restore mine.cmb --json"},
		{Args: "daemon restore mine.cmb", Given: with("config.json", "{}")},
		{Args: "daemon restore mine.cmb --yes --passphrase-file -", Given: typed("correct horse battery")},
		{Args: "daemon restore mine.cmb", Given: inside},
		{Args: "daemon repair"},
		{Args: "daemon repair", Given: unsound},
		{Args: "daemon repair --json", Given: unsound},
		{Args: "daemon repair", Given: inside},
		{Args: "daemon restart", Given: inside},
	})
}

func TestAcceptHost(t *testing.T) {
	t.Parallel()
	moved := func(w *clitest.World) {
		w.Moved, w.Daemon = mesh.Errorf(mesh.HostMismatch, "it was made on another machine"), nil
	}
	clitest.Verbs(t, cli.Run, "host", []clitest.Line{
		{Args: "daemon accept-host"},
		{Args: "daemon accept-host --json"},
		{Args: "daemon accept-host", Given: func(w *clitest.World) { w.Env["CLAUDECODE"] = "1" }},
		{Args: "daemon up", Given: moved},
		{Args: "up --json", Given: moved},
	})
}

func TestDaemonLogs(t *testing.T) {
	t.Parallel()
	logged := func(w *clitest.World) {
		text := `{"time":"2026-03-04T11:00:00.5Z","level":"INFO","msg":"daemon_started","pid":7,"path":"/s"}` + "\n" +
			"claudemesh: said before it logs \x1b[31m\n" + `{"time":"2026-03-04T11:58:00Z","level":"ERROR","msg":"store failed","err":"disk \u001b[31m"}` + "\n"
		if err := os.WriteFile(w.Home.Daemon.Log(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	clitest.Verbs(t, cli.Run, "logs", []clitest.Line{
		{Args: "daemon logs"},
		{Args: "daemon logs", Given: logged},
		{Args: "daemon logs --json", Given: logged},
		{Args: "daemon logs -n 1 --json=level,msg", Given: logged},
		{Args: "daemon logs --since 10m", Given: logged},
		{Args: "daemon logs --since 2026-03-04T11:59:00Z", Given: logged},
		{Args: "daemon logs --since yesterday"},
		{Args: "daemon logs -n -1"},
	})
}

// forgotten is a message to a group that the broker has, and whose text is not kept any more.
func forgotten() localapi.InspectAnswer {
	return localapi.InspectAnswer{
		OutboxItem: localapi.OutboxItem{
			ID: "row-1", ClientMessageID: clitest.ClientID, Status: "aborted", Mesh: "team", TargetSpec: "@ops", EnqueuedAt: new("2026-03-01T11:00:00.000Z"),
			AbortedAt: new("2026-03-01T12:00:00.000Z"), AbortedBy: new("operator"), SupersededBy: new("row-3"), PayloadBytes: 19,
		},
		Priority: mesh.Now, State: mesh.StateRejected, MayBeSent: true, Recipients: []localapi.Recipient{},
	}
}

func TestOthers(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, cli.Run, "others", []clitest.Line{
		{Args: "mcp"},
		{Args: "demo"},
		{Args: "broker serve --listen 0.0.0.0:1 --create open"},
		{Args: "config print --json=key,value,source", Given: func(w *clitest.World) { w.Env["CLAUDEMESH_TCP"] = "true" }},
		{Args: "config print --broker"},
		{Args: "config"},
	})
}

// TestVerbsStartTheDaemon walks through the life of a daemon that a verb starts.
func TestVerbsStartTheDaemon(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	if r := w.Run("daemon", "status"); r.Exit != mesh.ExitCancelled || !strings.Contains(r.Out, "the daemon does not run") || r.Err != "" {
		t.Errorf("got exit %d, %q and %q before anything, want 1 and that it does not run", r.Exit, r.Out, r.Err)
	}
	if r := w.Run("daemon", "status", "--json"); r.Exit != mesh.ExitCancelled || r.Out != "{\n  \"schema_version\": \"1.0\",\n  \"running\": false\n}\n" {
		t.Errorf("got exit %d and %q, want 1 and not running", r.Exit, r.Out)
	}
	if r := w.Run("daemon", "version"); r.Exit != mesh.ExitNetwork || w.DaemonLog() != "" {
		t.Errorf("got exit %d and %q, want 4, and nothing started by a question about it", r.Exit, w.DaemonLog())
	}
	r := w.Run("list")
	if r.Exit != mesh.ExitOK || !strings.Contains(r.Out, "team") {
		t.Fatalf("got exit %d, %q and %q, want the list from a daemon that was started", r.Exit, r.Out, r.Err)
	}
	if !regexp.MustCompile(`^\[claudemesh\] info daemon restarted automatically \(took \d+ms\)\n$`).MatchString(r.Err) {
		t.Errorf("got %q, want the one line that says so", r.Err)
	}
	if want := `started with ["daemon" "up" "--foreground"]`; !strings.Contains(w.DaemonLog(), want) {
		t.Errorf("got %q, want %s", w.DaemonLog(), want)
	}
	if r := w.Run("list"); r.Err != "" {
		t.Errorf("got %q from a daemon that runs, want no word", r.Err)
	}
	if r := w.Run("daemon", "up"); r.Exit != mesh.ExitExists {
		t.Errorf("got exit %d and %q, want 6", r.Exit, r.Err)
	}
	pid := strconv.Itoa(clitest.PID(w.Home.Daemon.PID()))
	if r := w.Run("daemon", "stop"); r.Exit != mesh.ExitOK || r.Out != "  ✔ the daemon is stopped (pid "+pid+")\n" {
		t.Errorf("got exit %d and %q, want it stopped", r.Exit, r.Out)
	}
	if r := w.Run("daemon", "down", "--json"); r.Exit != mesh.ExitOK || r.Out != "{\n  \"schema_version\": \"1.0\",\n  \"stopped\": false,\n  \"reason\": \"not_running\"\n}\n" {
		t.Errorf("got exit %d and %q, want success and not_running", r.Exit, r.Out)
	}
}

func TestLesson134UpReturnsAndPassesItsFlags(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	if r := w.Run("daemon", "up", "--tcp", "--json"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, `"detached": true`) {
		t.Fatalf("got exit %d, %q and %q, want it started", r.Exit, r.Out, r.Err)
	}
	if want := `started with ["daemon" "up" "--foreground" "--tcp=true"]`; !strings.Contains(w.DaemonLog(), want) {
		t.Errorf("got %q, want %s", w.DaemonLog(), want)
	}
}

func TestStartIsQuietWhereNobodyReads(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"-q", "--json"} {
		w := clitest.New(t, cli.Run)
		if r := w.Run("list", flag); r.Exit != mesh.ExitOK || r.Err != "" {
			t.Errorf("got exit %d and %q with %s, want a list and no word", r.Exit, r.Err, flag)
		}
	}
}

func TestDaemonThatDoesNotStart(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	w.Mode = "fails"
	if r := w.Run("list"); r.Exit != mesh.ExitNetwork || !strings.Contains(r.Err, "ended at once") || !strings.Contains(r.Err, w.Home.Daemon.Log()) {
		t.Errorf("got exit %d and %q, want 4 and the log named", r.Exit, r.Err)
	}
	w.Env["CLAUDEMESH_INTERNAL_NO_AUTOSPAWN"] = "1"
	if r := w.Run("list"); r.Exit != mesh.ExitNetwork || !strings.Contains(r.Err, "CLAUDEMESH_INTERNAL_NO_AUTOSPAWN") {
		t.Errorf("got exit %d and %q, want 4 and the variable named", r.Exit, r.Err)
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
	w := clitest.New(t, cli.Run)
	hold(t, w.Home.Daemon.Lock())
	if err := os.WriteFile(w.Home.Daemon.PID(), []byte("77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.Run("daemon", "status"); r.Exit != mesh.ExitCancelled || !strings.Contains(r.Out, "the daemon runs (pid 77) and does not answer: nobody listens at ") {
		t.Errorf("got exit %d and %q, want 1 and what is wrong", r.Exit, r.Out)
	}
	if r := w.Run("daemon", "status", "--json"); !strings.Contains(r.Out, "\"running\": true,\n  \"pid\": 77,\n  \"ipc_error\": \"") {
		t.Errorf("got %q, want running with an error", r.Out)
	}
}

// TestStopNeedsToKnowWhom: a service that lives and does not say which process it is is left alone, and that is said.
func TestStopNeedsToKnowWhom(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	hold(t, w.Home.Daemon.Lock())
	for _, text := range []string{"", "0", "1", "-5", "x"} {
		if err := os.WriteFile(w.Home.Daemon.PID(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := w.Run("daemon", "down"); r.Exit != mesh.ExitIO || !strings.Contains(r.Err, "does not say which process it is") {
			t.Errorf("got exit %d and %q for the pid file %q, want 10", r.Exit, r.Err, text)
		}
	}
}

// TestStopIgnoresStalePIDs: without the lock nothing lives, whatever the pid file says.
func TestStopIgnoresStalePIDs(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	if err := os.WriteFile(w.Home.Daemon.PID(), []byte(strconv.Itoa(os.Getppid())), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.Run("daemon", "down"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, "does not run") {
		t.Errorf("got exit %d and %q, want nothing stopped", r.Exit, r.Out)
	}
}
