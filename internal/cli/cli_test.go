package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func newWorld(t *testing.T) *clitest.World { return clitest.New(t, Run) }

func withDaemon(t *testing.T) *clitest.World { return clitest.WithDaemon(t, Run) }

func TestWords(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, Run, "words", []clitest.Line{
		{Args: "completions tcsh"},
		{Args: "peeers"},
		{Args: "xyzzy --json"},
		{Args: "https://mesh.example.com/i/7dQm4xZt9BcA"},
		{Args: "-y ic://join/eyJ2IjoxfQ --name ben --json=slug"},
		{Args: "https://mesh.example.com/docs"},
		{Args: "--jsn list"},
		{Args: "list --strct"},
		{Args: "list -z"},
		{Args: "list --mesh"},
		{Args: "list --quiet=maybe"},
		{Args: "list --json=a,,b"},
		{Args: "list slug --json"},
		{Args: "list --json=false", Given: clitest.Answer(localapi.Meshes.Route, localapi.MeshesAnswer{})},
		{Args: "list --json=true", Given: clitest.Answer(localapi.Meshes.Route, localapi.MeshesAnswer{})},
		{Args: "help nothing"},
	})
}

func TestVerbSpeaksAsItsSession(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	w.Env["CLAUDE_CODE_SESSION_ID"] = "0b9c4d1e"
	file := w.Home.Daemon.SessionToken("0b9c4d1e")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	w.Run("list")
	if err := os.WriteFile(file, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Run("list")
	if got := w.Daemon.Sessions; len(got) != 2 || got[0] != "" || got[1] != "t0ken" {
		t.Errorf("got tokens %q, want none before the file is there, then its text", got)
	}
}
