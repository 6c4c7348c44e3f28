//go:build unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bashPackage is what most systems load into bash for completion; `make deps` installs it, and zsh and fish.
const bashPackage = "/usr/share/bash-completion/bash_completion"

// needShell skips a test where there is no such shell, or what it needs.
func needShell(t *testing.T, shell string, files ...string) {
	t.Helper()
	_, err := exec.LookPath(shell)
	for _, path := range files {
		if _, missing := os.Stat(path); missing != nil {
			err = missing
		}
	}
	if err != nil {
		loud := fmt.Sprintf("\n*** What completes words in %s is not tested: %v. Run make deps. ***\n\n", shell, err)
		fmt.Fprint(os.Stderr, loud)
		t.Skip(loud)
	}
}

// TestCompletionInShells types the beginning of live peers, groups and meshes into the real shells, and presses Tab. The names
// have what shells part words at.
func TestCompletionInShells(t *testing.T) {
	t.Parallel()
	needTmux(t)
	anna, ben := newWorld(t).pair()
	anna.must("create", "second")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	ben.must("group", "join", "@ops")
	anna.eventually("knows them", func() bool {
		words := anna.must("__complete", "send", "")
		return strings.Contains(words, "ben@") && strings.Contains(words, "@ops\t")
	})
	for _, c := range []struct {
		name, shell, script, start string
		files                      []string
	}{
		{"bash", "bash", "words.bash", "(echo \"PS1='ready> '\"; cat words.bash) > rc; exec bash --noprofile --rcfile rc", nil},
		{"bash with its package", "bash", "words.bash", "(echo \"PS1='ready> '\"; cat words.bash " + bashPackage + ") > rc; exec bash --noprofile --rcfile rc", []string{bashPackage}},
		{"zsh", "zsh", "_claudemesh", "echo \"PS1='ready> '; fpath=($PWD \\$fpath); autoload -Uz compinit; compinit -u\" > .zshrc; ZDOTDIR=$PWD exec zsh -i", nil},
		{"fish", "fish", ".config/fish/completions/claudemesh.fish", "XDG_CONFIG_HOME=$PWD/.config exec fish -C 'function fish_prompt; echo \"ready> \"; end'", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			needShell(t, c.shell, c.files...)
			dir := mkdir(t, filepath.Join(anna.dir, strings.ReplaceAll(c.name, " ", "-")))
			write(t, filepath.Join(mkdir(t, filepath.Dir(filepath.Join(dir, c.script))), filepath.Base(c.script)), anna.must("completions", c.shell))
			s := anna.openScreen(t, 200, 50, dir)
			s.enter("clear; "+c.start, "Enter")
			s.until("its prompt", func(text string) bool { return strings.HasPrefix(lastLine(text), "ready>") })
			for _, line := range [][2]string{
				{"claudemesh gro", "claudemesh group"},
				{"claudemesh send be", "claudemesh send ben@" + host},
				{"claudemesh send ben@", "claudemesh send ben@" + host},
				{"claudemesh send @o", "claudemesh send @ops"},
				{"claudemesh group join @", "claudemesh group join @ops"},
				{"claudemesh leave sec", "claudemesh leave second"},
				{"claudemesh peers --mesh sec", "claudemesh peers --mesh second"},
				{"claudemesh peers --mesh=sec", "claudemesh peers --mesh=second"},
			} {
				s.completes(line[0], line[1])
			}
		})
	}
}

// completes types a line and presses Tab until there is the other one. A daemon has a fifth of a second for its words, which on
// a slow machine may be too little.
func (s *screen) completes(typed, want string) {
	s.t.Helper()
	s.enter(typed)
	s.shows(typed)
	var last time.Time
	s.until(fmt.Sprintf("%q of %q and Tab", want, typed), func(text string) bool {
		if strings.Contains(text, want) {
			return true
		}
		if time.Since(last) > time.Second {
			s.enter("", "Tab")
			last = time.Now()
		}
		return false
	})
	s.enter("", "C-u", "C-l")
	s.until("an empty line", func(text string) bool { return !strings.Contains(text, "claudemesh") })
}

// lastLine is the last line of a screen that has something on it.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
