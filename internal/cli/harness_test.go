package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// testTime is what every clock here shows.
var testTime = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// fakeDaemon answers on a real socket from a table keyed by route, and records what it was asked.
type fakeDaemon struct {
	mu       sync.Mutex
	answers  map[string]any // an error is a refusal, a func() any is asked
	asked    []string
	drop     int // so many requests are read and not answered
	sessions []string
	made     bool // a mesh was made
}

func (d *fakeDaemon) handler() http.Handler {
	mux := http.NewServeMux()
	for _, e := range localapi.Catalogue() {
		mux.HandleFunc(e.Route, func(w http.ResponseWriter, r *http.Request) { d.serve(e.Route, w, r) })
	}
	return mux
}

func (d *fakeDaemon) serve(route string, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	answer, dropped := d.record(route, r, body)
	if dropped {
		panic(http.ErrAbortHandler) // closes the connection
	}
	status := http.StatusOK
	if refusal, ok := answer.(error); ok {
		status, answer = localapi.EncodeError(refusal)
	}
	data, err := wire.Encode(answer)
	if err != nil {
		panic(err)
	}
	w.WriteHeader(status)
	_, _ = w.Write(data) // the verb may have gone
}

func (d *fakeDaemon) record(route string, r *http.Request, body []byte) (answer any, dropped bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, strings.TrimRight(r.Method+" "+r.URL.String()+" "+string(body), " "))
	d.sessions = append(d.sessions, r.Header.Get("X-Claudemesh-Session"))
	if d.drop > 0 {
		d.drop--
		return nil, true
	}
	d.made = d.made || route == localapi.MeshCreate.Route
	answer, ok := d.answers[route]
	if ask, is := answer.(func() any); is {
		answer = ask()
	}
	if !ok {
		answer = mesh.Errorf(mesh.UnknownType, "no answer is laid out for %s", route)
	}
	return answer, false
}

// recorded gives what was asked since the last call.
func (d *fakeDaemon) recorded() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	return asked
}

// world is a machine with one user, who runs verbs.
type world struct {
	t      *testing.T
	home   paths.Home
	root   string
	env    map[string]string
	stdin  string
	tty    bool   // standard error is a terminal
	mode   string // of the program that verbs start
	daemon *fakeDaemon
	used   []string // services that were started, and with what
}

// newWorld makes a machine without a daemon. Paths are short: sockets must fit.
func newWorld(t *testing.T) (w *world) {
	t.Helper()
	root, err := os.MkdirTemp("", "cm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) }) // the system's to tidy
	t.Cleanup(func() { w.end() })
	w = &world{t: t, root: root, mode: "samples", home: paths.At(filepath.Join(root, ".claudemesh"))}
	w.env = map[string]string{"HOME": root, "USER": "anna", "PATH": "/nowhere", "CLAUDEMESH_BROKER_LISTEN": freeAddress(t)}
	if err := os.MkdirAll(w.home.Daemon.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

// withDaemon makes a machine whose daemon answers from the samples.
func withDaemon(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.daemon = &fakeDaemon{answers: samples()}
	l, err := net.Listen("unix", w.home.Daemon.Socket())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: w.daemon.handler(), ErrorLog: nil}
	go func() { _ = server.Serve(l) }()      // ends with Close
	t.Cleanup(func() { _ = server.Close() }) // nothing is open that matters
	return w
}

// freeAddress is an address of this machine where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // its address is what was wanted
	return l.Addr().String()
}

// result is what came of a verb.
type result struct {
	exit     mesh.Exit
	out, err string
}

func (w *world) system(args []string, out, err io.Writer) System {
	executable, osErr := os.Executable()
	if osErr != nil {
		w.t.Fatal(osErr)
	}
	lookup := func(name string) (string, bool) { v, ok := w.env[name]; return v, ok }
	environ := []string{programVariable + "=" + w.mode}
	for _, name := range slices.Sorted(maps.Keys(w.env)) {
		environ = append(environ, name+"="+w.env[name])
	}
	return System{
		Args: args, Stdin: strings.NewReader(w.stdin), Stdout: out, Stderr: err, Lookup: lookup, Environ: environ,
		Executable: executable, WorkDir: "/", Now: func() time.Time { return testTime }, Services: w.services(),
	}
}

// services only note that they were started.
func (w *world) services() Services {
	note := func(name string) func(context.Context, Service) error {
		return func(_ context.Context, s Service) error {
			w.used = append(w.used, fmt.Sprintf("%s %v %s", name, s.Settings.Flags, w.scrub(s.Settings.File)))
			return nil
		}
	}
	return Services{
		Daemon: note("daemon"), Broker: note("broker"), MCP: note("mcp"), Demo: note("demo"),
		InProcess: func(context.Context, Service) (localapi.Doer, io.Closer, error) {
			w.used = append(w.used, "in process")
			d := inProcess{&fakeDaemon{answers: samples()}}
			return d, d, nil
		},
	}
}

// inProcess is a daemon without a socket.
type inProcess struct{ daemon *fakeDaemon }

func (p inProcess) Do(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, "http://localhost"+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return localapi.Response{}, err
	}
	w := &memoryWriter{}
	p.daemon.handler().ServeHTTP(w, req)
	return localapi.Response{Status: w.status, Body: w.Bytes()}, nil
}

func (p inProcess) Close() error { return nil }

type memoryWriter struct {
	bytes.Buffer
	status int
}

func (w *memoryWriter) Header() http.Header    { return http.Header{} }
func (w *memoryWriter) WriteHeader(status int) { w.status = status }

func (w *world) run(args ...string) result {
	w.t.Helper()
	return w.runIn(w.t.Context(), args...)
}

func (w *world) runIn(ctx context.Context, args ...string) result {
	w.t.Helper()
	var out, err bytes.Buffer
	sys := w.system(args, &out, &err)
	var exit mesh.Exit
	if w.tty && !asksVersion(args) {
		a := newApp(sys)
		a.err.TTY = true
		exit = a.finish(ctx, a.run(ctx))
	} else {
		exit = Run(ctx, sys)
	}
	return result{exit, out.String(), err.String()}
}

// clientID is a client message id that a verb made.
var clientID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// scrub takes out what differs from run to run.
func (w *world) scrub(text string) string {
	text = strings.ReplaceAll(text, w.root, "HOME")
	text = strings.ReplaceAll(text, w.env["CLAUDEMESH_BROKER_LISTEN"], "127.0.0.1:7900")
	return clientID.ReplaceAllString(text, "NEW-ID")
}

// transcript runs a verb and writes down what was typed, what it asked, what it printed and how it ended.
func (w *world) transcript(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	var b strings.Builder
	b.WriteString("$ claudemesh")
	for _, arg := range args {
		if arg == "" || strings.ContainsAny(arg, " \t\n\"'$()*<>|#") {
			arg = fmt.Sprintf("%q", arg)
		}
		b.WriteString(" " + arg)
	}
	b.WriteString("\n")
	if w.daemon != nil {
		for _, line := range w.daemon.recorded() {
			b.WriteString("> " + line + "\n")
		}
	}
	for _, line := range w.used {
		b.WriteString("+ " + line + "\n")
	}
	w.used = nil
	for _, part := range []struct{ name, text string }{{"stdout", r.out}, {"stderr", r.err}} {
		if part.text != "" {
			b.WriteString("--- " + part.name + "\n" + part.text)
		}
	}
	fmt.Fprintf(&b, "--- exit %d\n\n", r.exit)
	return w.scrub(b.String())
}

// daemonLog is what a daemon that verbs started has written.
func (w *world) daemonLog() string {
	text, err := os.ReadFile(w.home.Daemon.Log())
	if err != nil {
		return ""
	}
	return string(text)
}

// end stops what verbs have started.
func (w *world) end() {
	for lock, pid := range map[string]string{w.home.Daemon.Lock(): w.home.Daemon.PID(), w.home.Broker.Lock(): w.home.Broker.PID()} {
		if n := readPID(pid); local.Locked(lock) && n > 1 && n != os.Getpid() {
			_ = local.Terminate(n) // it may have gone
		}
	}
}
