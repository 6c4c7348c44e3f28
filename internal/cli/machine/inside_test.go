package machine

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

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

// TestUpFailsHere: a mesh of this machine that is not connected is a failure.
func TestUpFailsHere(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := shell.New(shell.System{Stdout: &out, Stderr: &out, Lookup: func(string) (string, bool) { return "", false }})
	err := finishUp(a, upView{Header: shell.NewHeader(), Meshes: []meshUp{{Slug: "here", Status: "connecting", Here: true}}})
	if err != shell.Exit(mesh.ExitNetwork) || !strings.Contains(out.String(), "the mesh here is not connected: connecting") {
		t.Errorf("got %v and %q, want exit 4 and why", err, out.String())
	}
}
