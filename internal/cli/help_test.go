package cli

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// tree is every verb of a machine.
func tree(w *clitest.World, args ...string) (*shell.App, *cobra.Command) {
	a := shell.New(w.System(args, io.Discard, io.Discard))
	return a, fullTree(a)
}

// leaves lists the verbs that can be run, shown or not, by their paths.
func leaves(cmd *cobra.Command) map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	for _, sub := range cmd.Commands() {
		if sub.HasSubCommands() {
			for path, leaf := range leaves(sub) {
				all[path] = leaf
			}
			continue
		}
		all[shell.PathOf(sub)] = sub
	}
	return all
}

// paths lists the paths of nouns and verbs in the order of the help page.
func helpPaths(root *cobra.Command) []string {
	var all []string
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		all = append(all, shell.PathOf(cmd))
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	for _, s := range contents() {
		for _, v := range s.verbs {
			cmd, _, err := root.Find(v.names[:1])
			if err != nil {
				panic(err)
			}
			walk(cmd)
		}
	}
	return all
}

// TestHelpPages keeps every page in one file, so that a change of words is seen.
func TestHelpPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, root := tree(w)
	bare := w.Run()
	var all strings.Builder
	for _, path := range append([]string{""}, helpPaths(root)...) {
		args := append(strings.Fields(path), "--help")
		r := w.Run(args...)
		if r.Exit != mesh.ExitOK || r.Err != "" {
			t.Errorf("got exit %d and %q for %q, want the page alone", r.Exit, r.Err, args)
		}
		if same := w.Run(append([]string{"help"}, strings.Fields(path)...)...); same.Out != r.Out {
			t.Errorf("got another page of help %s than of --help:\n%s", path, same.Out)
		}
		if path == "" && bare.Out != r.Out {
			t.Errorf("got another page without words than of --help:\n%s", bare.Out)
		}
		for line := range strings.Lines(r.Out) {
			if n := term.Width(strings.TrimRight(line, "\n")); n > term.Columns && !strings.Contains(line, "claudemesh join '") {
				t.Errorf("got a line of %d columns in the help of %q, want at most %d: %s", n, path, term.Columns, line)
			}
		}
		fmt.Fprintf(&all, "$ claudemesh %s\n%s\n", strings.Join(args, " "), r.Out)
	}
	clitest.Golden(t, "help", strings.ReplaceAll(all.String(), strings.TrimSpace(versionLine()), "claudemesh VERSION"))
}

func TestBareDaemonIsItsHelp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.Run("daemon", "--help")
	for _, args := range [][]string{{"daemon"}, {"daemon", "help"}, {"daemon", "-h"}} {
		if r := w.Run(args...); r != page {
			t.Errorf("got exit %d, %q and %q for %q, want its page", r.Exit, r.Out, r.Err, args)
		}
	}
}

// TestContents compares the table of contents, by which one verb is found, with the verbs themselves.
func TestContents(t *testing.T) {
	t.Parallel()
	a, root := tree(newWorld(t))
	seen := map[string]bool{}
	for _, s := range contents() {
		for _, v := range s.verbs {
			cmd := v.make(a)
			if got := append([]string{cmd.Name()}, cmd.Aliases...); !slices.Equal(got, v.names) {
				t.Errorf("got the names %q of a verb, want those of the table, %q", got, v.names)
			}
			if cmd.Hidden != (s.title == "") {
				t.Errorf("got hidden %t for %s in the section %q", cmd.Hidden, cmd.Name(), s.title)
			}
			for _, name := range v.names {
				if seen[name] {
					t.Errorf("got %s twice", name)
				}
				seen[name] = true
			}
		}
	}
	for path, leaf := range leaves(root) {
		original := leaf.Annotations[shell.CopyKey]
		if original == "" {
			continue
		}
		other, _, err := root.Find(strings.Fields(original))
		if err != nil || other.Annotations[shell.AlsoKey] != path || other.Short != leaf.Short || other.Long != leaf.Long {
			t.Errorf("got %s as the original of %s, want a verb that names it and says the same", original, path)
		}
		if got, want := flagNames(leaf), flagNames(other); !slices.Equal(got, want) {
			t.Errorf("got the flags %q for %s, want those of %s, %q", got, path, original, want)
		}
	}
}

// TestEveryPageHelps wants an example where there is something to get wrong, and no flag without a word about it.
func TestEveryPageHelps(t *testing.T) {
	t.Parallel()
	_, root := tree(newWorld(t))
	for path, leaf := range leaves(root) {
		if leaf.Hidden || path == "help" {
			continue
		}
		if leaf.Example == "" && (strings.Contains(leaf.Use, "<") || len(flagRows(leaf.NonInheritedFlags())) > 0) {
			t.Errorf("got no example for %s, which takes words or flags", path)
		}
		for _, r := range flagRows(leaf.Flags()) {
			if r.text == "" {
				t.Errorf("got no text for %s of %s", r.syntax, path)
			}
		}
	}
}

// TestFirstWord compares it with what cobra makes of the same words: the tree that is made must hold the verb.
func TestFirstWord(t *testing.T) {
	t.Parallel()
	_, root := tree(newWorld(t))
	words := []string{"send", "list", "daemon", "up", "x", "--json", "--json=a", "-q", "-v", "--mesh", "team", "--", "--limit=5", "--limit", "-", "", "-h", "-n", "-abc", "a=b", "--yes", "-V"}
	for range 20_000 {
		args := make([]string, rand.IntN(6))
		for i := range args {
			args[i] = words[rand.IntN(len(words))]
		}
		cmd, _, _ := root.Find(args) // an unknown word gives the root
		for cmd.HasParent() && cmd.Parent().HasParent() {
			cmd = cmd.Parent()
		}
		want := ""
		if cmd.HasParent() {
			want = cmd.Name()
		}
		got := firstWord(args)
		if v, ok := find(got); ok {
			got = v.names[0]
		} else {
			got = ""
		}
		if got != want {
			t.Fatalf("got %q of %q, cobra finds %q", got, args, want)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	delete(w.Env, "HOME") // nothing is looked for
	for _, args := range []string{"version", "--version", "-V", "list --version", "--json -V"} {
		if r := w.Run(strings.Fields(args)...); r.Exit != mesh.ExitOK || r.Out != versionLine() || r.Err != "" {
			t.Errorf("got exit %d, %q and %q for %s, want the version", r.Exit, r.Out, r.Err, args)
		}
	}
	for _, args := range []string{"--version --help", "list -h -V"} {
		if r := w.Run(strings.Fields(args)...); r.Exit != mesh.ExitOK || !strings.Contains(r.Out, "Usage") {
			t.Errorf("got exit %d and %q for %s, want help", r.Exit, r.Out, args)
		}
	}
	w = withDaemon(t)
	if r := w.Run("send", "backend", "--", "--version"); !strings.HasPrefix(r.Out, "  ✔") {
		t.Errorf("got %q, want a message with that text", r.Out)
	}
	if r := w.Run("version", "-q"); r.Out != versionLine() {
		t.Errorf("got %q, want the version", r.Out)
	}
	if r := w.Run("version", "--json"); !strings.HasPrefix(r.Out, "{\n  \"schema_version\": \"1.0\",\n  \"version\": ") {
		t.Errorf("got %q, want an object that begins with schema_version", r.Out)
	}
}
