package machine_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// scrubPIDs replaces the ids of the processes that verbs started.
func scrubPIDs(t *testing.T, w *clitest.World, text string) string {
	t.Helper()
	for name, file := range map[string]string{"DAEMON": w.Home.Daemon.PID(), "BROKER": w.Home.Broker.PID()} {
		text = scrubPID(text, clitest.PID(file), name)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(text, executable, "/bin/claudemesh")
}

func scrubPID(text string, pid int, name string) string {
	n := strconv.Itoa(pid)
	return strings.NewReplacer("pid "+n, "pid "+name, `"pid": `+n, `"pid": `+name).Replace(text)
}

// TestUpAndDown sets up a clitest.Fresh machine with processes that stand in for daemon and broker, twice, and stops them, twice.
func TestUpAndDown(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	w.Mode = "fresh"
	var all strings.Builder
	say := func(args ...string) {
		text := w.Transcript(args...)
		all.WriteString(scrubPIDs(t, w, text))
	}
	say("up")
	brokerPID := clitest.PID(w.Home.Broker.PID())
	if mark := clitest.PID(w.Home.Broker.StartedByUp()); mark != brokerPID || mark == 0 {
		t.Errorf("got %d in the mark of up, want the broker's %d", mark, brokerPID)
	}
	say("up")
	say("up", "--json")
	say("broker", "status")
	daemonPID := clitest.PID(w.Home.Daemon.PID()) // down may remove the file
	all.WriteString(scrubPID(scrubPID(w.Transcript("down"), daemonPID, "DAEMON"), brokerPID, "BROKER"))
	say("down")
	say("down", "--json")
	say("broker", "status")
	clitest.Golden(t, "up", all.String())
	if _, err := os.Stat(w.Home.Broker.StartedByUp()); err == nil {
		t.Error("got the mark of up after down, want it removed")
	}
}

// TestUp is about a machine whose meshes live elsewhere: it needs no broker, unless it is told so.
func TestUp(t *testing.T) {
	t.Parallel()
	w := clitest.WithDaemon(t, cli.Run)
	clitest.OneMesh(w)
	r := w.Run("up", "--json")
	if r.Exit != mesh.ExitOK || strings.Contains(r.Out, `"broker":`) || local.Locked(w.Home.Broker.Lock()) {
		t.Errorf("got exit %d and %q, want no broker", r.Exit, r.Out)
	}
	if r = w.Run("up", "--broker"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, "the broker is started") || !local.Locked(w.Home.Broker.Lock()) {
		t.Errorf("got exit %d and %q, want a broker", r.Exit, r.Out)
	}
	for _, asked := range w.Daemon.Recorded() {
		if strings.HasPrefix(asked, "POST") {
			t.Errorf("got %q, want no mesh made", asked)
		}
	}
}

// TestUpWhereAMeshIsAway: what lives elsewhere and does not answer is told, and is no failure.
func TestUpWhereAMeshIsAway(t *testing.T) {
	t.Parallel()
	w := clitest.WithDaemon(t, cli.Run)
	if r := w.Run("up"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, "⚠ the mesh research is not connected: reconnecting") {
		t.Errorf("got exit %d and %q, want success and a word about research", r.Exit, r.Out)
	}
}

func TestUpWhereThePortIsTaken(t *testing.T) {
	t.Parallel()
	w := clitest.WithDaemon(t, cli.Run)
	w.Daemon.Answers = clitest.Fresh(w.Daemon, w.Env["CLAUDEMESH_BROKER_LISTEN"])
	w.Daemon.Answers[localapi.Health.Route] = clitest.Health()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	w.Env["CLAUDEMESH_BROKER_LISTEN"] = web.Listener.Addr().String()
	want := "claudemesh: 127.0.0.1:7900 is taken by another program\nhint: stop what listens there, or choose a port with --listen\n"
	if r := w.Run("up"); r.Exit != mesh.ExitNetwork || w.Scrub(r.Err) != want {
		t.Errorf("got exit %d and %q, want 4 and %q", r.Exit, r.Err, want)
	}
	other := httptest.NewServer(http.HandlerFunc(clitest.AnswerHealth))
	defer other.Close()
	w.Env["CLAUDEMESH_BROKER_LISTEN"] = other.Listener.Addr().String()
	if r := w.Run("up", "--json"); r.Exit != mesh.ExitNetwork || !strings.Contains(r.Out, "is taken by a broker that is not this user's") {
		t.Errorf("got exit %d and %q, want 4 and whose it is not", r.Exit, r.Out)
	}
	if r := w.Run("broker", "status"); r.Exit != mesh.ExitCancelled || !strings.Contains(r.Out, "this user's broker does not run; another one answers") {
		t.Errorf("got exit %d and %q, want the same said", r.Exit, r.Out)
	}
}

// TestUpListen moves the broker to another port, which every later start finds.
func TestUpListen(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	w.Mode = "fresh"
	first, second := w.Env["CLAUDEMESH_BROKER_LISTEN"], clitest.FreeAddress(t)
	if r := w.Run("up", "--listen", second); r.Exit != mesh.ExitUsage || !strings.Contains(r.Err, "the environment sets the broker's address to "+first) {
		t.Errorf("got exit %d and %q, want the variable named", r.Exit, r.Err)
	}
	if _, err := os.Stat(w.Home.Broker.Settings()); err == nil {
		t.Error("got broker.json written by a verb that was refused")
	}
	if err := os.MkdirAll(w.Home.Broker.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	delete(w.Env, "CLAUDEMESH_BROKER_LISTEN")
	if err := os.WriteFile(w.Home.Broker.Settings(), []byte(`{"listen": "`+first+`", "lease": "10s"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.Run("up", "--listen", "mesh.example:7900"); r.Exit != mesh.ExitUsage || !strings.Contains(r.Err, "IP address") {
		t.Errorf("got exit %d and %q, want an address", r.Exit, r.Err)
	}
	if r := w.Run("up", "--listen", second); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, "http://"+second) {
		t.Fatalf("got exit %d, %q and %q, want a broker there", r.Exit, r.Out, r.Err)
	}
	var written map[string]string
	data, err := os.ReadFile(w.Home.Broker.Settings())
	if err == nil {
		err = json.Unmarshal(data, &written)
	}
	if err != nil || written["listen"] != second || written["lease"] != "10s" {
		t.Errorf("got %s and %v in broker.json, want the new address beside the old lease", data, err)
	}
	if r := w.Run("broker", "status"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, second) {
		t.Errorf("got exit %d and %q, want it found at the new address", r.Exit, r.Out)
	}
	if r := w.Run("up", "--listen", first); r.Exit != mesh.ExitExists || !strings.Contains(r.Err, "claudemesh down") {
		t.Errorf("got exit %d and %q, want no move of a broker that runs", r.Exit, r.Err)
	}
}

func TestUpListenWhereAMeshLives(t *testing.T) {
	t.Parallel()
	w := clitest.WithDaemon(t, cli.Run)
	w.Daemon.Answers = clitest.Fresh(w.Daemon, w.Env["CLAUDEMESH_BROKER_LISTEN"])
	w.Daemon.Answers[localapi.Health.Route] = clitest.Health()
	w.Daemon.Made = true
	if r := w.Run("up", "--listen", "127.0.0.1:1"); r.Exit != mesh.ExitExists || !strings.Contains(r.Err, "would lose its broker") {
		t.Errorf("got exit %d and %q, want it refused", r.Exit, r.Err)
	}
	if _, err := os.Stat(w.Home.Broker.Settings()); err == nil {
		t.Error("got broker.json written, want nothing changed")
	}
}

// TestUpAsksTheDaemonToLook: a daemon that ran before its broker does not let `up` wait for its next try.
func TestUpAsksTheDaemonToLook(t *testing.T) {
	t.Parallel()
	w := clitest.WithDaemon(t, cli.Run)
	looked := false
	home := clitest.Mesh()
	home.BrokerURL = "ws://" + w.Env["CLAUDEMESH_BROKER_LISTEN"] + "/ws"
	w.Daemon.Answers[localapi.Meshes.Route] = func() any {
		if home.Status = "reconnecting"; looked {
			home.Status = "open"
		}
		return localapi.MeshesAnswer{Meshes: []localapi.Mesh{home}}
	}
	w.Daemon.Answers[localapi.PingBrokers.Route] = func() any {
		looked = true
		return clitest.Pings()
	}
	if r := w.Run("up"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, "is connected") {
		t.Errorf("got exit %d, %q and %q, want the mesh connected", r.Exit, r.Out, r.Err)
	}
}

func TestUpWhereTheBrokerDoesNotStart(t *testing.T) {
	t.Parallel()
	w := clitest.WithDaemon(t, cli.Run)
	w.Mode = "fails"
	if r := w.Run("up", "--broker"); r.Exit != mesh.ExitNetwork || !strings.Contains(r.Err, "ended at once") || !strings.Contains(r.Err, w.Home.Broker.Log()) {
		t.Errorf("got exit %d and %q, want 4 and the log named", r.Exit, r.Err)
	}
	text, err := os.ReadFile(w.Home.Broker.Log())
	if err != nil || !strings.Contains(string(text), "refused to start") {
		t.Errorf("got %q and %v in the log, want the reason", text, err)
	}
}

// TestDownLeavesOthersAlone: a broker that somebody started by hand goes on.
func TestDownLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	sys := w.System(nil, nil, nil)
	if err := os.MkdirAll(w.Home.Broker.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), sys.Executable, "broker", "serve")
	cmd.Env = sys.Environ
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // it was killed
	clitest.Await(t, func() bool { return w.Run("broker", "status").Exit == mesh.ExitOK })
	pid := strconv.Itoa(cmd.Process.Pid)
	if r := w.Run("down"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, "the broker (pid "+pid+") was not started by up and goes on") {
		t.Errorf("got exit %d and %q, want it left alone and that said", r.Exit, r.Out)
	}
	if err := os.WriteFile(w.Home.Broker.StartedByUp(), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.Run("down", "--json"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, `"reason": "not_started_by_up"`) {
		t.Errorf("got exit %d and %q with a stale mark, want it left alone", r.Exit, r.Out)
	}
	if !local.Locked(w.Home.Broker.Lock()) {
		t.Error("got the broker stopped")
	}
}

func TestTwoUpsTakeTurns(t *testing.T) {
	t.Parallel()
	w := clitest.New(t, cli.Run)
	w.Mode = "fresh"
	results := make(chan clitest.Result)
	for range 2 {
		go func() { results <- w.Run("up", "--json") }()
	}
	made := 0
	for range 2 {
		r := <-results
		if r.Exit != mesh.ExitOK {
			t.Errorf("got exit %d, %q and %q, want success twice", r.Exit, r.Out, r.Err)
		}
		made += strings.Count(r.Out, `"made": true`)
	}
	if made != 1 {
		t.Errorf("got %d meshes made, want one", made)
	}
}

func TestBrokerHealthNeedsABroker(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"not JSON":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) },
		"not ok":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"down"}`)) },
		"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	} {
		server := httptest.NewServer(handler)
		w := clitest.New(t, cli.Run)
		w.Env["CLAUDEMESH_BROKER_LISTEN"] = server.Listener.Addr().String()
		if r := w.Run("broker", "status", "--json"); r.Exit != mesh.ExitCancelled || strings.Contains(r.Out, `"health"`) {
			t.Errorf("got exit %d and %q of one that is %s, want no broker", r.Exit, r.Out, name)
		}
		server.Close()
	}
	tls := httptest.NewTLSServer(http.HandlerFunc(clitest.AnswerHealth))
	defer tls.Close()
	w := clitest.New(t, cli.Run)
	hold(t, mustDir(t, w.Home.Broker.Dir)+"/broker.lock")
	w.Env["CLAUDEMESH_BROKER_LISTEN"], w.Env["CLAUDEMESH_BROKER_TLS_CERT"], w.Env["CLAUDEMESH_BROKER_TLS_KEY"] = tls.Listener.Addr().String(), "cert", "key"
	if r := w.Run("broker", "status"); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, "https://") {
		t.Errorf("got exit %d and %q, want a broker with a certificate found", r.Exit, r.Out)
	}
}

func mustDir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
