package broker

import (
	"os"
	"strings"
	"testing"
)

// archive is a file of steps, in the form that is called txtar: a comment, then each step behind its name.
type archive struct {
	comment string
	steps   []step
}

type step struct{ name, text string }

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
			a.steps = append(a.steps, step{name: name})
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
		text += "-- " + s.name + " --\n" + s.text
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
