package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
)

// TestBareCall: without a verb a terminal launches, and a link joins before that; elsewhere a link is joined and nothing is
// launched that no flag asks for (cli 12).
func TestBareCall(t *testing.T) {
	t.Parallel()
	const link = "https://mesh.example/i/Code#own"
	for _, tt := range []struct {
		args, terminal, elsewhere string
	}{
		{"", "launch", ""},
		{"-y", "launch -y", "-y"},
		{"--help", "--help", "--help"},
		{"--name api --role x", "launch --name api --role x", "launch --name api --role x"},
		{"-c", "launch -c", "launch -c"},
		{"--continue -q -- -p hi", "launch --continue -q -- -p hi", "launch --continue -q -- -p hi"},
		{"-- -p hi", "launch -- -p hi", "launch -- -p hi"},
		{link, "launch --join " + link, "join " + link},
		{"-y " + link, "launch -y --join " + link, "-y join " + link},
		{link + " --name ben", "launch --join " + link + " --name ben", "join " + link + " --name ben"},
		{link + " --broker=x", "join " + link + " --broker=x", "join " + link + " --broker=x"},
		{"--role x " + link + " -- -p hi", "launch --role x --join " + link + " -- -p hi", "launch --role x --join " + link + " -- -p hi"},
		{link + " --help", link + " --help", link + " --help"},
		{"peers --mesh team", "peers --mesh team", "peers --mesh team"},
		{"send ben " + link, "send ben " + link, "send ben " + link},
	} {
		for _, terminal := range []bool{true, false} {
			a := shell.New(newWorld(t).System(nil, nil, nil))
			a.Out.TTY, a.Err.TTY = terminal, terminal
			want := tt.elsewhere
			if terminal {
				want = tt.terminal
			}
			if got, _ := bareCall(a, strings.Fields(tt.args)); strings.Join(got, " ") != want {
				t.Errorf("%q, terminal %t: got %q, want %q", tt.args, terminal, got, want)
			}
		}
	}
}

// TestLesson14EveryFlagReachesLaunch: what a user says of a session reaches it from each of the four ways to start one
// (cli-lessons 1.4, row 1; seed-changelog 1.27.1).
func TestLesson14EveryFlagReachesLaunch(t *testing.T) {
	t.Parallel()
	const said = "--name api --role reviewer --groups backend:lead,ops --message-mode inbox --system-prompt brief --resume 5f --continue --yes -- -p hi"
	var first string
	for _, way := range []string{"", "--mesh team", "https://mesh.example/i/Code#own", "launch team", "connect --mesh team", "workspace --mesh team", "workspace launch team", "workspace open team"} {
		w := withDaemon(t)
		clitest.OneMesh(w)
		w.Env["CLAUDE_BIN"], _ = os.Executable()
		if r := w.Run(strings.Fields(way + " " + said)...); r.Exit != 0 {
			t.Errorf("%q: got exit %d and %q", way, r.Exit, r.Err)
		}
		got := strings.ReplaceAll(strings.Join(w.Used, "\n"), "\n  with CLAUDEMESH_SESSION_MESH=team", "")
		if first == "" {
			first = got
		}
		if got != first || !strings.Contains(got, "CLAUDEMESH_MESSAGE_MODE=inbox") {
			t.Errorf("%q: got\n%s\nwant\n%s", way, got, first)
		}
	}
	for _, want := range []string{`"--resume" "5f" "--continue" "--system-prompt" "brief" "-p" "hi"`, "NAME=api", "ROLE=reviewer", "GROUPS=backend:lead,ops"} {
		if !strings.Contains(first, want) {
			t.Errorf("got\n%s\nwant %s in it", first, want)
		}
	}
}
