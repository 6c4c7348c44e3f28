package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// scrubPIDs replaces the ids of the processes that verbs started.
func (w *world) scrubPIDs(text string) string {
	for name, file := range map[string]string{"DAEMON": w.home.Daemon.PID(), "BROKER": w.home.Broker.PID()} {
		text = scrubPID(text, readPID(file), name)
	}
	executable, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.ReplaceAll(text, executable, "/bin/claudemesh")
}

func scrubPID(text string, pid int, name string) string {
	n := strconv.Itoa(pid)
	return strings.NewReplacer("pid "+n, "pid "+name, `"pid": `+n, `"pid": `+name).Replace(text)
}

// TestUpAndDown sets up a fresh machine with processes that stand in for daemon and broker, twice, and stops them, twice.
func TestUpAndDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mode = "fresh"
	var all strings.Builder
	say := func(args ...string) {
		text := w.transcript(args...)
		all.WriteString(w.scrubPIDs(text))
	}
	say("up")
	brokerPID := readPID(w.home.Broker.PID())
	if mark := readPID(w.home.Broker.StartedByUp()); mark != brokerPID || mark == 0 {
		t.Errorf("got %d in the mark of up, want the broker's %d", mark, brokerPID)
	}
	say("up")
	say("up", "--json")
	say("broker", "status")
	daemonPID := readPID(w.home.Daemon.PID()) // down may remove the file
	all.WriteString(scrubPID(scrubPID(w.transcript("down"), daemonPID, "DAEMON"), brokerPID, "BROKER"))
	say("down")
	say("down", "--json")
	say("broker", "status")
	golden(t, "up", all.String())
	if _, err := os.Stat(w.home.Broker.StartedByUp()); err == nil {
		t.Error("got the mark of up after down, want it removed")
	}
}

// TestUp is about a machine whose meshes live elsewhere: it needs no broker, unless it is told so.
func TestUp(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	one(w)
	r := w.run("up", "--json")
	if r.exit != mesh.ExitOK || strings.Contains(r.out, `"broker":`) || local.Locked(w.home.Broker.Lock()) {
		t.Errorf("got exit %d and %q, want no broker", r.exit, r.out)
	}
	if r = w.run("up", "--broker"); r.exit != mesh.ExitOK || !strings.Contains(r.out, "the broker is started") || !local.Locked(w.home.Broker.Lock()) {
		t.Errorf("got exit %d and %q, want a broker", r.exit, r.out)
	}
	for _, asked := range w.daemon.recorded() {
		if strings.HasPrefix(asked, "POST") {
			t.Errorf("got %q, want no mesh made", asked)
		}
	}
}

// TestUpWhereAMeshIsAway: what lives elsewhere and does not answer is told, and is no failure; what lives here is one.
func TestUpWhereAMeshIsAway(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	if r := w.run("up"); r.exit != mesh.ExitOK || !strings.Contains(r.out, "⚠ the mesh research is not connected: reconnecting") {
		t.Errorf("got exit %d and %q, want success and a word about research", r.exit, r.out)
	}
	var out bytes.Buffer
	a := newApp(w.system(nil, &out, &out))
	err := finishUp(a, upView{header: newHeader(), Meshes: []meshUp{{Slug: "here", Status: "connecting", Here: true}}})
	if err != exitError(mesh.ExitNetwork) || !strings.Contains(out.String(), "the mesh here is not connected: connecting") {
		t.Errorf("got %v and %q, want exit 4 and why", err, out.String())
	}
}

func TestUpWhereThePortIsTaken(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	w.daemon.answers = fresh(w.daemon, w.env["CLAUDEMESH_BROKER_LISTEN"])
	w.daemon.answers[localapi.Health.Route] = sampleHealth()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	w.env["CLAUDEMESH_BROKER_LISTEN"] = web.Listener.Addr().String()
	want := "claudemesh: 127.0.0.1:7900 is taken by another program\nhint: stop what listens there, or choose a port with --listen\n"
	if r := w.run("up"); r.exit != mesh.ExitNetwork || w.scrub(r.err) != want {
		t.Errorf("got exit %d and %q, want 4 and %q", r.exit, r.err, want)
	}
	other := httptest.NewServer(http.HandlerFunc(answerHealth))
	defer other.Close()
	w.env["CLAUDEMESH_BROKER_LISTEN"] = other.Listener.Addr().String()
	if r := w.run("up", "--json"); r.exit != mesh.ExitNetwork || !strings.Contains(r.out, "is taken by a broker that is not this user's") {
		t.Errorf("got exit %d and %q, want 4 and whose it is not", r.exit, r.out)
	}
	if r := w.run("broker", "status"); r.exit != mesh.ExitCancelled || !strings.Contains(r.out, "this user's broker does not run; another one answers") {
		t.Errorf("got exit %d and %q, want the same said", r.exit, r.out)
	}
}

// TestUpListen moves the broker to another port, which every later start finds.
func TestUpListen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mode = "fresh"
	first, second := w.env["CLAUDEMESH_BROKER_LISTEN"], freeAddress(t)
	if r := w.run("up", "--listen", second); r.exit != mesh.ExitUsage || !strings.Contains(r.err, "the environment sets the broker's address to "+first) {
		t.Errorf("got exit %d and %q, want the variable named", r.exit, r.err)
	}
	delete(w.env, "CLAUDEMESH_BROKER_LISTEN")
	if err := os.WriteFile(w.home.Broker.Settings(), []byte(`{"listen": "`+first+`", "lease": "10s"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.run("up", "--listen", "0.0.0.0:7900"); r.exit != mesh.ExitUsage || !strings.Contains(r.err, "claudemesh broker serve") {
		t.Errorf("got exit %d and %q, want an address of this machine only", r.exit, r.err)
	}
	if r := w.run("up", "--listen", second); r.exit != mesh.ExitOK || !strings.Contains(r.out, "http://"+second) {
		t.Fatalf("got exit %d, %q and %q, want a broker there", r.exit, r.out, r.err)
	}
	var written map[string]string
	data, err := os.ReadFile(w.home.Broker.Settings())
	if err == nil {
		err = json.Unmarshal(data, &written)
	}
	if err != nil || written["listen"] != second || written["lease"] != "10s" {
		t.Errorf("got %s and %v in broker.json, want the new address beside the old lease", data, err)
	}
	if r := w.run("broker", "status"); r.exit != mesh.ExitOK || !strings.Contains(r.out, second) {
		t.Errorf("got exit %d and %q, want it found at the new address", r.exit, r.out)
	}
	if r := w.run("up", "--listen", first); r.exit != mesh.ExitExists || !strings.Contains(r.err, "claudemesh down") {
		t.Errorf("got exit %d and %q, want no move of a broker that runs", r.exit, r.err)
	}
}

func TestUpListenWhereAMeshLives(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	w.daemon.answers = fresh(w.daemon, w.env["CLAUDEMESH_BROKER_LISTEN"])
	w.daemon.answers[localapi.Health.Route] = sampleHealth()
	w.daemon.made = true
	if r := w.run("up", "--listen", "127.0.0.1:1"); r.exit != mesh.ExitExists || !strings.Contains(r.err, "would lose its broker") {
		t.Errorf("got exit %d and %q, want it refused", r.exit, r.err)
	}
	if _, err := os.Stat(w.home.Broker.Settings()); err == nil {
		t.Error("got broker.json written, want nothing changed")
	}
}

func TestUpWhereTheBrokerDoesNotStart(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	w.mode = "fails"
	if r := w.run("up", "--broker"); r.exit != mesh.ExitNetwork || !strings.Contains(r.err, "ended at once") || !strings.Contains(r.err, w.home.Broker.Log()) {
		t.Errorf("got exit %d and %q, want 4 and the log named", r.exit, r.err)
	}
	text, err := os.ReadFile(w.home.Broker.Log())
	if err != nil || !strings.Contains(string(text), "refused to start") {
		t.Errorf("got %q and %v in the log, want the reason", text, err)
	}
}

// TestDownLeavesOthersAlone: a broker that somebody started by hand goes on.
func TestDownLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sys := w.system(nil, nil, nil)
	if err := os.MkdirAll(w.home.Broker.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), sys.Executable, "broker", "serve")
	cmd.Env = sys.Environ
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // it was killed
	if err := poll(t.Context(), 10*time.Second, func() bool { return w.run("broker", "status").exit == mesh.ExitOK }); err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	if r := w.run("down"); r.exit != mesh.ExitOK || !strings.Contains(r.out, "the broker (pid "+pid+") was not started by up and goes on") {
		t.Errorf("got exit %d and %q, want it left alone and that said", r.exit, r.out)
	}
	if err := os.WriteFile(w.home.Broker.StartedByUp(), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.run("down", "--json"); r.exit != mesh.ExitOK || !strings.Contains(r.out, `"reason": "not_started_by_up"`) {
		t.Errorf("got exit %d and %q with a stale mark, want it left alone", r.exit, r.out)
	}
	if !local.Locked(w.home.Broker.Lock()) {
		t.Error("got the broker stopped")
	}
}

func TestTwoUpsTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mode = "fresh"
	results := make(chan result)
	for range 2 {
		go func() { results <- w.run("up", "--json") }()
	}
	made := 0
	for range 2 {
		r := <-results
		if r.exit != mesh.ExitOK {
			t.Errorf("got exit %d, %q and %q, want success twice", r.exit, r.out, r.err)
		}
		made += strings.Count(r.out, `"made": true`)
	}
	if made != 1 {
		t.Errorf("got %d meshes made, want one", made)
	}
}

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

// TestProgram: what is printed to be typed must start this program.
func TestProgram(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/claudemesh"
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got := program(file); got != "claudemesh" {
		t.Errorf("got %s, want the name that the shell finds", got)
	}
	if got := program("/elsewhere/claudemesh"); got != "/elsewhere/claudemesh" {
		t.Errorf("got %s, want the path: the shell finds another program", got)
	}
	t.Setenv("PATH", "/nowhere")
	if got := program(file); got != file {
		t.Errorf("got %s, want the path: the shell finds none", got)
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

func TestBrokerHealthNeedsABroker(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"not JSON":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) },
		"not ok":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"down"}`)) },
		"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	} {
		server := httptest.NewServer(handler)
		w := newWorld(t)
		w.env["CLAUDEMESH_BROKER_LISTEN"] = server.Listener.Addr().String()
		if r := w.run("broker", "status", "--json"); r.exit != mesh.ExitCancelled || strings.Contains(r.out, `"health"`) {
			t.Errorf("got exit %d and %q of one that is %s, want no broker", r.exit, r.out, name)
		}
		server.Close()
	}
	tls := httptest.NewTLSServer(http.HandlerFunc(answerHealth))
	defer tls.Close()
	w := newWorld(t)
	hold(t, mustDir(t, w.home.Broker.Dir)+"/broker.lock")
	w.env["CLAUDEMESH_BROKER_LISTEN"], w.env["CLAUDEMESH_BROKER_TLS_CERT"], w.env["CLAUDEMESH_BROKER_TLS_KEY"] = tls.Listener.Addr().String(), "cert", "key"
	if r := w.run("broker", "status"); r.exit != mesh.ExitOK || !strings.Contains(r.out, "https://") {
		t.Errorf("got exit %d and %q, want a broker with a certificate found", r.exit, r.out)
	}
}

func mustDir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
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
