package daemon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// appendTo opens a log as verbs and service managers do.
func appendTo(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() }) // only a test's
	return file
}

func TestCLILesson1115TheLogStaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemon.log")
	file := appendTo(t, path)
	log := OpenLogFile(file, path, 1000, 3)
	for i := range 1000 {
		if _, err := fmt.Fprintf(log, "line %03d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := fmt.Fprintln(file, "panic: of the runtime"); err != nil { // it writes past us
		t.Fatal(err)
	}
	var all string
	for _, name := range []string{path + ".2", path + ".1", path} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 1000+30 || bytes.Contains(text, []byte{0}) {
			t.Errorf("%s has %d bytes, want about 1000 and no hole", name, len(text))
		}
		if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %v, %v, want 600", name, info.Mode(), err)
		}
		all += string(text)
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("there are four files, want three")
	}
	lines := strings.Split(strings.TrimSpace(all), "\n")
	last := len(lines) - 1
	if lines[last] != "panic: of the runtime" || lines[last-1] != "line 999" {
		t.Errorf("got the end %q", lines[last-1:])
	}
	for i, line := range lines[:last] {
		if want := fmt.Sprintf("line %03d", 1000-last+i); line != want {
			t.Fatalf("got %q, want %q: no line is lost between two files", line, want)
		}
	}
}

func TestOneLogFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemon.log")
	log := OpenLogFile(appendTo(t, path), path, 100, 1)
	for range 100 {
		if _, err := fmt.Fprintln(log, "a line"); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 110 {
		t.Errorf("got %d bytes, %v, want about 100", info.Size(), err)
	}
	if _, err := os.Stat(path + ".1"); err == nil {
		t.Error("an old log was kept, want none")
	}
}

// TestOtherOutputsAreLeftAlone: a terminal, a pipe, another file.
func TestOtherOutputsAreLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "daemon.log")
	appendTo(t, path)
	other := appendTo(t, filepath.Join(dir, "other"))
	var buffer bytes.Buffer
	if got := OpenLogFile(other, path, 1, 2); got != other {
		t.Errorf("got %T for another file, want that file", got)
	}
	if got := OpenLogFile(&buffer, path, 1, 2); got != &buffer {
		t.Errorf("got %T for a buffer, want the buffer", got)
	}
}
