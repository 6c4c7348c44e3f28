//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sizes are the terminals that wizards are tried in.
var sizes = [][2]int{{80, 24}, {200, 50}}

// sameScreen compares the question on a screen, from its title on, with a golden file.
func (h *home) sameScreen(name string, text string) {
	h.t.Helper()
	text = text[max(0, strings.Index(text, "  — ")):]
	host, err := os.Hostname()
	if err != nil {
		h.t.Fatal(err)
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, h.dir, "<home>"), "@"+host, "@<host>")
	path := filepath.Join("testdata", "wizard", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			h.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(text, "\n")); diff != "" {
		h.t.Errorf("%s (-want +got), to be written with -update:\n%s", name, diff)
	}
}

// echoClaude is a program that stands for Claude Code and says what it was told.
func (h *home) echoClaude(t *testing.T) string {
	path := filepath.Join(h.dir, "claude")
	write(t, path, "#!/bin/sh\necho \"claude: $CLAUDEMESH_SESSION_MESH/$CLAUDEMESH_DISPLAY_NAME/$CLAUDEMESH_ROLE/$CLAUDEMESH_GROUPS/$CLAUDEMESH_MESSAGE_MODE\"\nexit 7\n")
	if err := os.Chmod(path, 0o755); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// TestLaunchWizard holds what `claudemesh` alone asks on a terminal: what is missing, with who is there, and its presets from
// the last time. It fits, needs no colour, and leaves everything as it was.
func TestLaunchWizard(t *testing.T) {
	t.Parallel()
	needTmux(t)
	w := newWorld(t)
	anna, ben := w.pair()
	anna.must("create", "second", "--name", "annie")
	anna.eventually("sees ben", func() bool { return strings.Contains(anna.must("peers"), "ben@") })
	ben.must("summary", "here")
	for _, size := range sizes {
		for _, colour := range []string{"NO_COLOR=", "NO_COLOR=1"} {
			dir := mkdir(t, filepath.Join(anna.dir, fmt.Sprintf("project%d%s", size[0], colour[len(colour)-1:])))
			s := anna.openScreen(t, size[0], size[1], dir, "CLAUDE_BIN="+anna.echoClaude(t), colour)
			s.enter("stty -g > before; clear; claudemesh", "Enter")
			anna.sameScreen(fmt.Sprintf("launch-%d", size[0]), strings.ReplaceAll(s.shows("Enter launches"), filepath.Base(dir), "project"))
			if painted := strings.Contains(s.painted(), "\x1b["); painted != (colour == "NO_COLOR=") {
				t.Errorf("%v, %s: painted %t", size, colour, painted)
			}
			s.enter("", "Right", "Down")
			s.enter("all", "Down")
			s.enter("reviewer", "Down")
			s.enter("backend:lead, ops", "Down", "Right", "Enter")
			s.shows("is reserved")
			s.enter("", "C-u")
			s.enter("api", "Up")
			anna.sameScreen(fmt.Sprintf("launch-filled-%d", size[0]), strings.ReplaceAll(s.until("the name is mended", func(text string) bool {
				return !strings.Contains(text, "is reserved") && strings.Contains(text, "‹ anna-mesh ›")
			}), filepath.Base(dir), "project"))
			s.enter("", "Enter")
			s.shows("claude: anna-mesh/api/reviewer/backend:lead,ops/inbox")
			s.enter("echo status=$?; clear; claudemesh --role x", "Enter")
			s.until("what was used last is preset, and what is given is not asked", func(text string) bool {
				return strings.Contains(text, "‹ anna-mesh ›") && strings.Contains(text, "api") && strings.Contains(text, "inbox:") && !strings.Contains(text, "role")
			})
			s.enter("", "C-c")
			s.shows("nothing was done")
			s.enter("clear; echo status=$?; stty -g | cmp - before && echo the same", "Enter")
			if text := s.shows("the same\n"); strings.Contains(text, "— launch") {
				t.Errorf("%v: the question is still there:\n%s", size, text)
			}
			s.enter("clear; echo go on | claudemesh", "Enter")
			s.shows("mesh is missing")
			if err := os.Remove(anna.paths.Config.LastUsed()); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestWelcomeWizard holds that who is in no mesh ends in one: by a link, or by one that is made here; and that who leaves has
// changed nothing.
func TestWelcomeWizard(t *testing.T) {
	t.Parallel()
	needTmux(t)
	w := newWorld(t)
	anna, ben := w.home("anna"), w.home("ben")
	s := anna.openScreen(t, 80, 24, mkdir(t, filepath.Join(anna.dir, "project")), "CLAUDE_BIN="+anna.echoClaude(t))
	s.enter("clear; claudemesh", "Enter")
	anna.sameScreen("welcome-80", s.shows("Enter takes it"))
	s.enter("3")
	s.shows("nothing was done")
	s.enter("clear; claudemesh", "Enter")
	s.shows("Enter takes it")
	s.enter("", "Down", "Enter")
	s.shows("Enter launches")
	s.enter("", "Enter")
	s.shows("claude: ////\n")
	if list := anna.must("list"); !strings.Contains(list, "anna-mesh") {
		t.Errorf("the mesh that was made is not listed:\n%s", list)
	}

	link := anna.link()
	s = ben.openScreen(t, 200, 50, mkdir(t, filepath.Join(ben.dir, "project")), "CLAUDE_BIN="+ben.echoClaude(t), "NO_COLOR=1")
	s.enter("clear; claudemesh", "Enter")
	ben.sameScreen("welcome-200", s.shows("Enter takes it"))
	s.enter("1")
	s.shows("Enter joins")
	s.enter("nonsense", "Enter")
	ben.sameScreen("welcome-refused-200", s.shows("an invite link is wanted"))
	s.enter("", "C-u")
	s.enter("'"+link+"'", "Enter")
	s.shows("Enter launches")
	s.enter("", "Enter")
	s.shows("claude: ////\n")
	if list := ben.must("list"); !strings.Contains(list, "anna-mesh") {
		t.Errorf("the mesh that was joined is not listed:\n%s", list)
	}
	// A link alone joins and launches, also where there is nothing to be asked.
	s.enter("clear; claudemesh -y '"+link+"'", "Enter")
	s.shows("claude: anna-mesh")
}
