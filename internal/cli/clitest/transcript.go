package clitest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// Line is a command line of a transcript, typed on a machine of its own.
type Line struct {
	Args  string       // parted at spaces; ␣ is a space inside a word
	Given func(*World) // what is different there; may be nil
}

// Answer puts an answer in the place of the sample of a route.
func Answer(route string, answer any) func(*World) {
	return func(w *World) { w.Daemon.Answers[route] = answer }
}

// Inside makes the verb one that a host session started.
func Inside(t *testing.T) func(*World) {
	return func(w *World) {
		t.Helper()
		me, err := host.Find(os.Getpid())
		if err == nil {
			err = os.MkdirAll(w.Home.Daemon.Sessions(), 0o700)
		}
		if err == nil {
			err = host.WriteMark(w.Home.Daemon.SessionProcess("s1"), me)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// OneMesh makes a mesh the only joined one.
func OneMesh(w *World) {
	answer := Meshes()
	answer.Meshes = answer.Meshes[:1]
	w.Daemon.Answers[localapi.Meshes.Route] = answer
}

// Verbs compares what lines ask the daemon, print and end with with testdata/<name>.golden.
func Verbs(t *testing.T, program Program, name string, lines []Line) {
	t.Helper()
	var all strings.Builder
	for _, l := range lines {
		w := WithDaemon(t, program)
		if l.Given != nil {
			l.Given(w)
		}
		args := strings.Split(l.Args, " ")
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "␣", " ")
		}
		all.WriteString(w.Transcript(args...))
	}
	Golden(t, name, all.String())
}

// Transcript runs a verb and writes down what was typed, what it asked, what it printed and how it ended.
func (w *World) Transcript(args ...string) string {
	w.t.Helper()
	r := w.Run(args...)
	var b strings.Builder
	b.WriteString("$ claudemesh")
	for _, arg := range args {
		if arg == "" || strings.ContainsAny(arg, " \t\n\"'$()*<>|#") {
			arg = fmt.Sprintf("%q", arg)
		}
		b.WriteString(" " + arg)
	}
	b.WriteString("\n")
	if w.Daemon != nil {
		for _, line := range w.Daemon.Recorded() {
			b.WriteString("> " + line + "\n")
		}
	}
	for _, line := range w.Used {
		b.WriteString("+ " + line + "\n")
	}
	w.Used = nil
	for _, part := range []struct{ name, text string }{{"stdout", r.Out}, {"stderr", r.Err}} {
		if part.text != "" {
			b.WriteString("--- " + part.name + "\n" + part.text)
		}
	}
	fmt.Fprintf(&b, "--- exit %d\n\n", r.Exit)
	return w.Scrub(b.String())
}

// update is the flag of the tests of verbs.
var update = flag.Bool("update", false, "write the golden files and the generated pages")

// Update reports whether files are to be written instead of compared.
func Update() bool { return *update }

// Golden compares got with testdata/<name>.golden, or writes it.
func Golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if Update() {
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
