package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestServiceEnv(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got := serviceEnv([]string{
		"HOME=/home/ann", "CLAUDECODE=1", "CLAUDE_CODE_SESSION_ID=s", "CLAUDE_CODE_MESSAGING_TOKEN=t", "CLAUDE_PID=7", "CLAUDEMESH_DISPLAY_NAME=x",
		"CLAUDEMESH_IPC_TOKEN_FILE=/x", "CLAUDEMESH_SESSION_ID=s", "CLAUDEMESH_INTERNAL_NO_AUTOSPAWN=0", "CLAUDEMESH_DEBUG=1",
		"CLAUDEMESH_DAEMON_DIR=run/x", "CLAUDEMESH_CONFIG_DIR=/etc/x", "CLAUDEMESH_BROKER_DIR=", "PATH=run/x",
	})
	want := []string{
		"HOME=/home/ann", "CLAUDEMESH_DEBUG=1", "CLAUDEMESH_DAEMON_DIR=" + filepath.Join(here, "run/x"), "CLAUDEMESH_CONFIG_DIR=/etc/x", "CLAUDEMESH_BROKER_DIR=",
		"PATH=run/x", "CLAUDEMESH_INTERNAL_NO_AUTOSPAWN=1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestLastWords(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemon.log")
	before := "claudemesh: of an earlier one\n"
	for text, want := range map[string]string{
		"":                                   "",
		"{\"level\":\"ERROR\"}\n":            "",
		"claudemesh: one\nclaudemesh: two\n": "two",
		"claudemesh: port taken\nhint: x\n":  "port taken; x",
		"hint: of nothing\nclaudemesh: a\n":  "a",
		"claudemesh: cut off":                "cut off",
		"say claudemesh: no\n":               "",
		strings.Repeat("x\n", maxWords) + "claudemesh: at the end\n": "at the end",
		"claudemesh: far away\n" + strings.Repeat("x\n", maxWords):   "",
	} {
		if err := os.WriteFile(path, []byte(before+text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastWords(path, int64(len(before))); got != want {
			t.Errorf("%.60q: got %q, want %q", text, got, want)
		}
	}
	if got := lastWords(path+"x", 0); got != "" {
		t.Errorf("no log: got %q", got)
	}
}

func TestSpawnFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, paths := range map[string][2]string{
		"no program": {filepath.Join(dir, "none"), filepath.Join(dir, "log")},
		"no folder":  {os.Args[0], filepath.Join(dir, "none", "log")},
	} {
		if exited, err := Spawn(paths[0], nil, nil, paths[1]); exited != nil || !mesh.IsCode(err, mesh.IOError) {
			t.Errorf("%s: got %v, want %s", name, err, mesh.IOError)
		}
	}
}
