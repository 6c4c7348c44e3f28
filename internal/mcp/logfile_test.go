package mcp

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestLogRotates(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemon", "mcp.log")
	const writers, lines = 4, 400
	pad := strings.Repeat("x", 1<<10) // 1.6 MiB in all: one rotation
	var wait sync.WaitGroup
	for w := range writers { // each as if it were a process of its own
		wait.Go(func() {
			l := &logFile{path: path}
			for i := range lines {
				if _, err := fmt.Fprintf(l, "%d %d %s\n", w, i, pad); err != nil {
					t.Error(err)
				}
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	seen := 0
	for _, name := range []string{path, path + ".1"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > logLimitBytes+writers*(len(pad)+16) {
			t.Errorf("%s has %d bytes", name, len(data))
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&^fs.FileMode(0o600) != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		for line := range bytes.Lines(data) {
			if !bytes.HasSuffix(line, []byte(pad+"\n")) {
				t.Fatalf("%s has a broken line of %d bytes", name, len(line))
			}
			seen++
		}
	}
	if seen != writers*lines {
		t.Errorf("%d lines, want %d: one rotation loses nothing", seen, writers*lines)
	}
	l := &logFile{path: path}
	for range 3 * logLimitBytes / len(pad) {
		_, _ = l.Write([]byte(pad))
	}
	_ = l.Close()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 3 { // with the lock
		t.Errorf("files %v, %v; want two logs and a lock", files, err)
	}
}

func TestLogOpensNothingBeforeItsFirstLine(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "daemon")
	l := &logFile{path: filepath.Join(dir, "mcp.log")}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
}
