package cli

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/paths"
)

var update = flag.Bool("update", false, "write the golden files and the generated pages")

// programVariable makes the test binary stand for the program that verbs start: its daemon and its broker.
const programVariable = "CLAUDEMESH_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) == "" {
		os.Exit(m.Run())
	}
	if err := standIn(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// standIn is a daemon or broker as far as verbs can tell: it holds the lock, says its pid, answers, and ends when told.
func standIn(args []string) error {
	fmt.Printf("started with %q\n", args)
	if os.Getenv(programVariable) == "fails" {
		return fmt.Errorf("refused to start")
	}
	home, err := paths.Find(os.LookupEnv)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	lock, pid := home.Daemon.Lock(), home.Daemon.PID()
	listen := func() (net.Listener, error) { return net.Listen("unix", home.Daemon.Socket()) }
	settings, err := config.LoadBroker(config.Sources{File: home.Broker.Settings(), Env: os.LookupEnv})
	if err != nil {
		return err
	}
	daemon := &fakeDaemon{answers: samples()}
	if os.Getenv(programVariable) == "fresh" {
		daemon.answers = fresh(daemon, settings.Listen)
	}
	daemon.answers[localapi.Health.Route] = localapi.HealthAnswer{OK: true, PID: os.Getpid(), Version: "1.2.3"}
	handler := daemon.handler()
	if args[0] == "broker" {
		lock, pid = home.Broker.Lock(), home.Broker.PID()
		listen = func() (net.Listener, error) { return net.Listen("tcp", settings.Listen) }
		handler = http.HandlerFunc(answerHealth)
	}
	held := flock.New(lock)
	if ok, err := held.TryLock(); !ok || err != nil {
		return fmt.Errorf("lock %s: %v", lock, err)
	}
	if err := os.WriteFile(pid, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return err
	}
	l, err := listen()
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(l, handler) }() // ends with the listener
	<-stop
	_ = l.Close()
	return held.Unlock()
}

// fresh is what a daemon answers that has joined nothing yet.
func fresh(d *fakeDaemon, listen string) map[string]any {
	answers := samples()
	made := sampleMesh()
	made.Slug, made.BrokerURL = "anna-mesh", "ws://"+listen+"/ws"
	answers[localapi.MeshCreate.Route] = localapi.MeshAnswer{Mesh: made}
	answers[localapi.Meshes.Route] = func() any {
		if !d.made {
			return localapi.MeshesAnswer{Meshes: []localapi.Mesh{}}
		}
		return localapi.MeshesAnswer{Meshes: []localapi.Mesh{made}}
	}
	return answers
}

func answerHealth(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, `{"status":"ok","db":"up","version":"1.2.3","gitSha":"abc","uptime":60}`)
}

// golden compares got with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (-want +got); if it is meant, run the test with -update:\n%s", path, diff)
	}
}
