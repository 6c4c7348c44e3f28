//go:build unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// screen is a terminal with a shell in it, on a tmux server of its own.
type screen struct {
	t      *testing.T
	socket string
}

// needTmux skips a test where there is no tmux, which `make deps` installs.
func needTmux(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		const loud = "\n*** There is no tmux: nothing is tested on a terminal. Run make deps. ***\n\n"
		fmt.Fprint(os.Stderr, loud)
		t.Skip(loud)
	}
}

// openScreen opens a terminal of a size, in a folder below a home, with its environment and more.
func (h *home) openScreen(t *testing.T, columns, lines int, dir string, more ...string) *screen {
	t.Helper()
	s := &screen{t, filepath.Join(filepath.Dir(h.dir), fmt.Sprintf("t%d%s", columns, filepath.Base(dir)))}
	cmd := exec.Command("tmux", "-u", "-S", s.socket, "-f", os.DevNull, "new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(lines), "-c", dir, "exec /bin/sh")
	env := slices.DeleteFunc(slices.Clone(h.env), func(kv string) bool { return strings.HasPrefix(kv, "NO_COLOR=") })
	cmd.Env = append(append(env, "TERM=xterm-256color", "LC_ALL=C.UTF-8", "SHELL=/bin/sh", "PS1=$ ", "ENV="), more...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v\n%s", err, out)
	}
	t.Cleanup(func() { s.tmux("kill-server") })
	s.until("a prompt", func(text string) bool { return strings.HasPrefix(text, "$") })
	return s
}

func (s *screen) tmux(args ...string) string {
	out, err := exec.Command("tmux", append([]string{"-u", "-S", s.socket}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Errorf("tmux %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// enter types text, and names of keys behind it.
func (s *screen) enter(text string, keys ...string) {
	s.t.Helper()
	if text != "" {
		s.tmux("send-keys", "-l", "--", text)
	}
	if len(keys) > 0 {
		s.tmux(append([]string{"send-keys"}, keys...)...)
	}
}

// text is what stands on the screen.
func (s *screen) text() string { return strings.TrimRight(s.tmux("capture-pane", "-p"), "\n") + "\n" }

// painted is the same with its colours.
func (s *screen) painted() string { return s.tmux("capture-pane", "-p", "-e") }

// until waits for the screen, and gives it.
func (s *screen) until(what string, ok func(text string) bool) string {
	s.t.Helper()
	deadline := time.Now().Add(longTime)
	for {
		text := s.text()
		if ok(text) {
			return text
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not within %s: %s; the screen is\n%s", longTime, what, text)
		}
		<-time.After(pollStep)
	}
}

// shows waits until the screen has a text.
func (s *screen) shows(text string) string {
	s.t.Helper()
	return s.until(fmt.Sprintf("%q", text), func(all string) bool { return strings.Contains(all, text) })
}
