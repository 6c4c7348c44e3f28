package broker

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"
)

// archive is a file of steps, in the form that is called txtar: a comment, then each step behind its name.
type archive struct {
	comment string
	steps   []step
}

// step is one step. Only is the generation of clients that it is for; empty means both.
type step struct {
	name, only, text string
	got              map[string]string // what was heard instead of text, by generation
}

// heard notes what was heard in a step.
func (s *step) heard(generation, text string) {
	if s.got == nil {
		s.got = map[string]string{}
	}
	s.got[generation] = text
}

func readArchive(t *testing.T, file string) archive {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var a archive
	for line := range strings.Lines(string(data)) {
		name, isName := strings.CutPrefix(strings.TrimRight(line, "\n"), "-- ")
		name, ends := strings.CutSuffix(name, " --")
		switch {
		case isName && ends:
			name, only, _ := strings.Cut(strings.TrimSuffix(name, ")"), " (")
			a.steps = append(a.steps, step{name: name, only: only})
		case len(a.steps) == 0:
			a.comment += line
		default:
			a.steps[len(a.steps)-1].text += line
		}
	}
	return a
}

func (a archive) write(t *testing.T, file string) {
	t.Helper()
	text := a.comment
	for _, s := range a.steps {
		switch differs := s.got[seed] != s.got[later]; {
		case len(s.got) == 2 && differs:
			text += s.format(seed, s.got[seed]) + s.format(later, s.got[later])
		case len(s.got) > 0:
			text += s.format(s.only, cmp.Or(s.got[seed], s.got[later]))
		default:
			text += s.format(s.only, s.text)
		}
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s step) format(only, text string) string {
	name := s.name
	if only != "" {
		name += " (" + only + ")"
	}
	return "-- " + name + " --\n" + text
}

// The generations of clients: those that know plain hellos only, and those with connections of sessions and client_ack.
const (
	seed  = "seed"
	later = "later"
)

// header gives what the comment says after a word, if it does.
func (a archive) header(word string) (string, bool) {
	for line := range strings.Lines(a.comment) {
		if text, ok := strings.CutPrefix(line, word+":"); ok {
			return strings.TrimSpace(text), true
		}
	}
	return "", false
}

// generations are those whose clients a conversation is held with: its line `generations:`, else both.
func (a archive) generations(t *testing.T) []string {
	t.Helper()
	list, ok := a.header("generations")
	if !ok {
		return []string{seed, later}
	}
	all := strings.Fields(list)
	if len(all) == 0 || slices.ContainsFunc(all, func(g string) bool { return g != seed && g != later }) {
		t.Fatalf("got generations %q, want %s, %s or both", all, seed, later)
	}
	return all
}
