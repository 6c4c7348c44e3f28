// Package clitest is for the tests of verbs: a machine with one user, whose daemon answers from samples, and transcripts of
// what verbs ask, print and end with. The package of a verb tests it through the whole program:
//
//	func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }
//
//	w := clitest.WithDaemon(t, cli.Run)
//	if r := w.Run("list"); r.Exit != mesh.ExitOK { … }
package clitest

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
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

// Time is what every clock here shows.
var Time = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// Program is what runs one verb: cli.Run.
type Program func(context.Context, shell.System) mesh.Exit

// World is a machine with one user, who runs verbs.
type World struct {
	Program Program
	Home    paths.Home
	Root    string            // the user's home
	Env     map[string]string // the environment of verbs
	Stdin   string
	Mode    string   // of the program that verbs start: samples, fresh, half (one of two meshes is connected) or fails
	Daemon  *Daemon  // nil where none runs
	Used    []string // services that were started, and with what

	Moved        error         // of the daemon's folder
	Unstartable  bool          // the service manager starts nothing
	Unmanageable bool          // the service manager refuses everything
	Faults       []string      // of the stored data
	Admin        string        // the administrator's policy
	Patience     time.Duration // of a shell that waits for words; 0 is the usual one, which a slow machine does not hold

	t *testing.T
}

// New makes a machine without a daemon. Paths are short: sockets must fit.
func New(t *testing.T, program Program) *World {
	t.Helper()
	if os.Getenv(programVariable) != "" {
		t.Fatal("a verb started this test as its daemon: call Main in TestMain")
	}
	root, err := os.MkdirTemp("", "cm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) }) // the system's to tidy
	w := &World{t: t, Program: program, Root: root, Mode: "samples", Patience: time.Minute, Home: paths.At(filepath.Join(root, ".claudemesh"))}
	t.Cleanup(w.end)
	w.Env = map[string]string{"HOME": root, "USER": "anna", "PATH": "/nowhere", listenVariable: FreeAddress(t)}
	if err := os.MkdirAll(w.Home.Daemon.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

// WithDaemon makes a machine whose daemon answers from the samples.
func WithDaemon(t *testing.T, program Program) *World {
	t.Helper()
	w := New(t, program)
	w.Daemon = &Daemon{Answers: Samples()}
	l, err := net.Listen("unix", w.Home.Daemon.Socket())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: w.Daemon.handler(), ErrorLog: nil}
	go func() { _ = server.Serve(l) }()      // ends with Close
	t.Cleanup(func() { _ = server.Close() }) // nothing is open that matters
	return w
}

// listenVariable is where a broker of the world listens.
const listenVariable = "CLAUDEMESH_BROKER_LISTEN"

// FreeAddress is an address of this machine where nobody listens.
func FreeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // its address is what was wanted
	return l.Addr().String()
}

// System is what a run of the program is given.
func (w *World) System(args []string, out, err io.Writer) shell.System {
	executable, osErr := os.Executable()
	if osErr != nil {
		w.t.Fatal(osErr)
	}
	lookup := func(name string) (string, bool) { v, ok := w.Env[name]; return v, ok }
	environ := []string{programVariable + "=" + w.Mode, "GORACE=atexit_sleep_ms=0"} // a second at the end of each process otherwise
	for _, name := range slices.Sorted(maps.Keys(w.Env)) {
		environ = append(environ, name+"="+w.Env[name])
	}
	return shell.System{
		Args: args, Stdin: strings.NewReader(w.Stdin), Stdout: out, Stderr: err, Lookup: lookup, Environ: environ,
		Executable: executable, WorkDir: "/", Admin: w.Admin, Now: func() time.Time { return Time }, Services: w.services(),
		CompletionTime: w.Patience,
	}
}

// services only note that they were started.
func (w *World) services() shell.Services {
	note := func(name string) func(context.Context, shell.Service) error {
		return func(_ context.Context, s shell.Service) error {
			w.Used = append(w.Used, fmt.Sprintf("%s %v %s", name, s.Settings.Flags, w.Scrub(s.Settings.File)))
			return nil
		}
	}
	return shell.Services{
		Daemon: note("daemon"), Broker: note("broker"), MCP: note("mcp"), Demo: note("demo"),
		InProcess: func(context.Context, shell.Service) (localapi.Doer, io.Closer, error) {
			w.Used = append(w.Used, "in process")
			d := inProcess{&Daemon{Answers: Samples()}}
			return d, d, nil
		},
		Manage: w.manage, Exec: w.exec, BrokerKeeper: w.keeper("broker"), DaemonKeeper: w.keeper("daemon"),
	}
}

// exec notes the program, and what of ours it is told.
func (w *World) exec(path string, argv, environ []string) error {
	w.Used = append(w.Used, w.Scrub(fmt.Sprintf("%s in place: %q", path, argv)))
	for _, variable := range environ {
		if strings.HasPrefix(variable, "CLAUDEMESH_") && !strings.HasPrefix(variable, programVariable) && !strings.HasPrefix(variable, listenVariable) {
			w.Used = append(w.Used, w.Scrub("  with "+variable))
		}
	}
	return nil
}

// keeper notes what it is told, and tells of files that are well.
func (w *World) keeper(name string) upkeep.Keeper {
	db := func(at upkeep.Site) string {
		if name == "broker" {
			return at.Home.Broker.DB()
		}
		return at.Home.Daemon.Outbox()
	}
	note := func(what string, to upkeep.Order) {
		w.Used = append(w.Used, w.Scrub(strings.TrimSpace(fmt.Sprintf("%s %s %s %s", name, what, to.File, to.Passphrase))))
	}
	return upkeep.Keeper{
		Check: func(_ context.Context, at upkeep.Site) ([]upkeep.Store, error) {
			note("check "+db(at), upkeep.Order{})
			return []upkeep.Store{{File: db(at), Bytes: 20480, Faults: w.Faults}}, nil
		},
		Backup: func(_ context.Context, at upkeep.Site, to upkeep.Order) (upkeep.Backup, error) {
			note("backup "+db(at), to)
			return upkeep.Backup{File: to.File, Bytes: 4096, Encrypted: to.Passphrase != "", Holds: []string{filepath.Base(db(at))}}, nil
		},
		Restore: func(_ context.Context, at upkeep.Site, from upkeep.Order) (upkeep.Restored, error) {
			note("restore "+db(at), from)
			return upkeep.Restored{From: from.File, Restored: []string{db(at)}, Aside: []string{db(at) + ".before"}, Review: 2}, nil
		},
		Moved: func(context.Context, upkeep.Site) error { return w.Moved },
		Accept: func(context.Context, upkeep.Site) (upkeep.Accepted, error) {
			note("accept", upkeep.Order{})
			return upkeep.Accepted{Prefix: "9052d243c0cc8fea"}, nil
		},
		Repair: func(_ context.Context, at upkeep.Site) ([]upkeep.Repaired, error) {
			note("repair "+db(at), upkeep.Order{})
			if w.Faults == nil {
				return []upkeep.Repaired{}, nil
			}
			return []upkeep.Repaired{{File: db(at), Aside: db(at) + ".damaged", Tables: []upkeep.Table{{Name: "outbox", Rows: 12, Holes: 1}, {Name: "receipt", Rows: 3}}}}, nil
		},
	}
}

// manage notes what a service manager is told; told to start the daemon, it does, as verbs do.
func (w *World) manage(ctx context.Context, command, environ []string) error {
	w.Used = append(w.Used, w.Scrub(strings.Join(command, " ")))
	if w.Unmanageable {
		return mesh.Errorf(mesh.IOError, "%s: no manager here", command[0])
	}
	if w.Unstartable && slices.Contains(command, "enable") {
		return mesh.Errorf(mesh.IOError, "%s: the unit does not start", command[0])
	}
	if w.Daemon != nil || !slices.Contains(command, "start") && !slices.Contains(command, "enable") {
		return nil
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = local.Spawn(executable, []string{"daemon", "by", "manager"}, environ, w.Home.Daemon.Log())
	return err
}

// Result is what came of a verb.
type Result struct {
	Exit     mesh.Exit
	Out, Err string
}

// Run runs one verb.
func (w *World) Run(args ...string) Result {
	w.t.Helper()
	return w.RunIn(w.t.Context(), args...)
}

// RunIn is Run with a context.
func (w *World) RunIn(ctx context.Context, args ...string) Result {
	w.t.Helper()
	var out, err bytes.Buffer
	exit := w.Program(ctx, w.System(args, &out, &err))
	return Result{exit, out.String(), err.String()}
}

// newID matches a client message id that a verb made.
var newID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// Scrub takes out what differs from run to run.
func (w *World) Scrub(text string) string {
	text = strings.ReplaceAll(text, w.Root, "HOME")
	if executable, err := os.Executable(); err == nil {
		text = strings.ReplaceAll(text, executable, "PROGRAM")
	}
	text = strings.ReplaceAll(text, w.Env[listenVariable], "127.0.0.1:7900")
	return newID.ReplaceAllString(text, "NEW-ID")
}

// DaemonLog is what a daemon that verbs started has written.
func (w *World) DaemonLog() string {
	text, err := os.ReadFile(w.Home.Daemon.Log())
	if err != nil {
		return ""
	}
	return string(text)
}

// end stops what verbs have started.
func (w *World) end() {
	for lock, pid := range map[string]string{w.Home.Daemon.Lock(): w.Home.Daemon.PID(), w.Home.Broker.Lock(): w.Home.Broker.PID()} {
		if n := PID(pid); local.Locked(lock) && n > 1 && n != os.Getpid() {
			_ = local.Terminate(n) // it may have gone
		}
	}
}

// PID is the number in a pid file; 0 when there is none.
func PID(file string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return n
}
