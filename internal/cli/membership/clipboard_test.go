package membership

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
)

func TestClipboards(t *testing.T) {
	t.Parallel()
	lookup := func(names ...string) func(string) (string, bool) {
		return func(name string) (string, bool) {
			for _, n := range names {
				if n == name {
					return "x", true
				}
			}
			return "", false
		}
	}
	x11 := [][]string{{"xclip", "-selection", "clipboard"}, {"xsel", "--clipboard", "--input"}}
	for _, tc := range []struct {
		system string
		set    []string
		want   [][]string
	}{
		{"darwin", nil, [][]string{{"pbcopy"}}}, {"windows", nil, [][]string{{"clip"}}}, {"linux", nil, nil},
		{"linux", []string{"DISPLAY"}, x11}, {"linux", []string{"DISPLAY", "WAYLAND_DISPLAY"}, append([][]string{{"wl-copy"}}, x11...)},
	} {
		if diff := cmp.Diff(tc.want, clipboards(tc.system, lookup(tc.set...))); diff != "" {
			t.Errorf("%s with %v (-want +got):\n%s", tc.system, tc.set, diff)
		}
	}
}

// TestCopyText has a program of the clipboard, then one that fails, then a terminal.
func TestCopyText(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the programs are other ones")
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	script := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "wl-copy"), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	vars := map[string]string{"WAYLAND_DISPLAY": "w", "TERM": "xterm"}
	a := shell.New(shell.System{Stdout: &out, Stderr: &out, Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok }})
	script(`IFS= read -r text; test "$#$text" = 0secret`)
	if !copyText(context.Background(), a, "secret\n") || out.Len() > 0 {
		t.Errorf("got it not copied, or %q written, want it on the program's standard input", &out)
	}
	script("exit 1")
	if copyText(context.Background(), a, "secret") {
		t.Error("got it copied by a program that fails, where there is no terminal")
	}
	a.Out.TTY = true
	if !copyText(context.Background(), a, "secret") || out.String() != "\x1b]52;c;c2VjcmV0\a" {
		t.Errorf("got %q, want the terminal asked", &out)
	}
	vars["TERM"] = "dumb"
	if copyText(context.Background(), a, "secret") {
		t.Error("got it copied by a terminal that is dumb")
	}
}
