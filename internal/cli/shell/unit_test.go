package shell

import (
	"os"
	"path/filepath"
	"testing"
)

// TestProgram: what settings of others start must be this program, and stay it when a package manager replaces the file.
func TestProgram(t *testing.T) {
	t.Parallel()
	cellar, bin, other := t.TempDir(), t.TempDir(), t.TempDir()
	file := filepath.Join(cellar, "claudemesh")
	for _, path := range []string{file, filepath.Join(other, "claudemesh")} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(file, filepath.Join(bin, "claudemesh")); err != nil {
		t.Fatal(err)
	}
	above := t.TempDir()
	if err := os.Mkdir(filepath.Join(above, "claudemesh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		what, search, want string
		found              bool
	}{
		{"a link to it", "/nowhere" + string(filepath.ListSeparator) + bin, filepath.Join(bin, "claudemesh"), true},
		{"the file itself", cellar, file, true},
		{"another program first", other + string(filepath.ListSeparator) + bin, file, false},
		{"a folder of the name", above + string(filepath.ListSeparator) + bin, filepath.Join(bin, "claudemesh"), true},
		{"a folder of here", ".", file, false},
		{"none", "", file, false},
	} {
		app := &App{Sys: System{Executable: file, Lookup: func(name string) (string, bool) { return tc.search, name == "PATH" }}}
		if got := Program(app); got != tc.want {
			t.Errorf("%s on PATH: got %s, want %s", tc.what, got, tc.want)
		}
		if _, found := OnPath(app); found != tc.found {
			t.Errorf("%s on PATH: found %v, want %v", tc.what, found, tc.found)
		}
	}
}
