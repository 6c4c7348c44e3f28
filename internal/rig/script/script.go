// Package script reads and writes conversations: archives of steps that a test takes, and of what is heard meanwhile. The
// form is called txtar: a comment, then each step behind its name. It is for tests.
package script

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"
)

// The generations of the other system. Clients of the seed know plain hellos only, later ones have connections of sessions
// and client_ack; brokers likewise.
const (
	Seed  = "seed"
	Later = "later"
)

// Archive is one conversation.
type Archive struct {
	Comment string
	Steps   []Step
}

// Step is one step. Only is the generation that it is for; empty means both.
type Step struct {
	Name, Only, Text string
	got              map[string]string // what was heard instead of Text, by generation
}

// Heard notes what was heard in a step, for Write.
func (s *Step) Heard(generation, text string) {
	if s.got == nil {
		s.got = map[string]string{}
	}
	s.got[generation] = text
}

// Read reads a file. In the name of a step, "(seed)" or "(later)" at the end is its generation.
func Read(t testing.TB, file string) Archive {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var a Archive
	for line := range strings.Lines(string(data)) {
		name, isName := strings.CutPrefix(strings.TrimRight(line, "\n"), "-- ")
		name, ends := strings.CutSuffix(name, " --")
		switch {
		case isName && ends:
			name, only, _ := strings.Cut(strings.TrimSuffix(name, ")"), " (")
			a.Steps = append(a.Steps, Step{Name: name, Only: only})
		case len(a.Steps) == 0:
			a.Comment += line
		default:
			a.Steps[len(a.Steps)-1].Text += line
		}
	}
	return a
}

// Write writes a file with what was heard. A step is written once for each generation where those heard different things.
func (a Archive) Write(t testing.TB, file string) {
	t.Helper()
	text := a.Comment
	for _, s := range a.Steps {
		switch {
		case len(s.got) == 2 && s.got[Seed] != s.got[Later]:
			text += s.format(Seed, s.got[Seed]) + s.format(Later, s.got[Later])
		case len(s.got) > 0:
			text += s.format(s.Only, cmp.Or(s.got[Seed], s.got[Later]))
		default:
			text += s.format(s.Only, s.Text)
		}
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s Step) format(only, text string) string {
	name := s.Name
	if only != "" {
		name += " (" + only + ")"
	}
	return "-- " + name + " --\n" + text
}

// Header gives what the comment says behind a word and a colon, if it does.
func (a Archive) Header(word string) (string, bool) {
	for line := range strings.Lines(a.Comment) {
		if text, ok := strings.CutPrefix(line, word+":"); ok {
			return strings.TrimSpace(text), true
		}
	}
	return "", false
}

// Generations are those of the line `generations:`, else both.
func (a Archive) Generations(t testing.TB) []string {
	t.Helper()
	list, ok := a.Header("generations")
	if !ok {
		return []string{Seed, Later}
	}
	all := strings.Fields(list)
	if len(all) == 0 || slices.ContainsFunc(all, func(g string) bool { return g != Seed && g != Later }) {
		t.Fatalf("got generations %q, want %s, %s or both", all, Seed, Later)
	}
	return all
}
