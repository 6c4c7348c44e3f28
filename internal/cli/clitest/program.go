package clitest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// programVariable makes the test binary stand for the program that verbs start: its daemon and its broker.
const programVariable = "CLAUDEMESH_TEST_PROGRAM"

// Main runs the tests of a package, or what stands for the program that its verbs start; it gives the exit status.
func Main(m *testing.M) int {
	if os.Getenv(programVariable) == "" {
		return m.Run()
	}
	if err := standIn(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// standIn is a daemon or broker as far as verbs can tell: it holds the lock, says its pid, answers, and ends when told,
// by the signal alone.
func standIn(args []string) error {
	if args[0] == "mcp" { // as far as its hello
		_, err := fmt.Println(`{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"experimental":{"claude/channel":{}}}}}`)
		return err
	}
	fmt.Printf("started with %q\n", args)
	if os.Getenv(programVariable) == "fails" {
		return errors.New("refused to start")
	}
	home, err := paths.Find(os.LookupEnv)
	if err != nil {
		return err
	}
	lock, pid := home.Daemon.Lock(), home.Daemon.PID()
	listen := func() (net.Listener, error) {
		_ = os.Remove(home.Daemon.Socket()) // of one that was ended; the lock is held
		return net.Listen("unix", home.Daemon.Socket())
	}
	settings, err := config.LoadBroker(config.Sources{File: home.Broker.Settings(), Env: os.LookupEnv})
	if err != nil {
		return err
	}
	daemon := &Daemon{Answers: Samples()}
	if os.Getenv(programVariable) == "fresh" {
		daemon.Answers = Fresh(daemon, settings.Listen)
	}
	health := localapi.HealthAnswer{OK: true, PID: os.Getpid(), Version: "1.2.3"}
	if os.Getenv(programVariable) == "half" {
		health.Meshes = []localapi.MeshHealth{{Mesh: "team", Status: "open"}, {Mesh: "ops", Status: "reconnecting"}}
	}
	daemon.Answers[localapi.Health.Route] = health
	handler := daemon.handler()
	if args[0] == "broker" {
		lock, pid = home.Broker.Lock(), home.Broker.PID()
		listen = func() (net.Listener, error) { return net.Listen("tcp", settings.Listen) }
		handler = http.HandlerFunc(AnswerHealth)
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
	return http.Serve(l, handler)
}

// Fresh is what a daemon answers that has joined nothing yet: once a mesh was made there is one, on the broker at listen.
func Fresh(d *Daemon, listen string) map[string]any {
	answers := Samples()
	made := Mesh()
	made.Slug, made.BrokerURL = "anna-mesh", "ws://"+listen+"/ws"
	answers[localapi.MeshCreate.Route] = localapi.MeshAnswer{Mesh: made}
	answers[localapi.Meshes.Route] = func() any {
		if !d.Made {
			return localapi.MeshesAnswer{Meshes: []localapi.Mesh{}}
		}
		return localapi.MeshesAnswer{Meshes: []localapi.Mesh{made}}
	}
	return answers
}

// AnswerHealth is the health page of a broker.
func AnswerHealth(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprint(w, `{"status":"ok","db":"up","version":"1.2.3","gitSha":"abc","uptime":60}`) // who asked may have gone
}

// Await asks until the answer is yes, for at most ten seconds.
func Await(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("waited for ten seconds")
		case <-tick.C:
		}
	}
}
