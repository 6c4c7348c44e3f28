package prompt

import (
	"context"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestParseKeys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		typed string
		want  []key
		rest  string
	}{
		{"aé\r", []key{{keyRune, 'a'}, {keyRune, 'é'}, {kind: keyEnter}}, ""},
		{"\x1b[A\x1b[B\x1bOC\x1b[D\x1b[Z\t", []key{{kind: keyUp}, {kind: keyDown}, {kind: keyRight}, {kind: keyLeft}, {kind: keyUp}, {kind: keyDown}}, ""},
		{"\x1b[1;5A\x1b[3~x", []key{{}, {kind: keyDelete}, {keyRune, 'x'}}, ""},
		{"\x03\x04\x7f\x15\x00", []key{{kind: keyLeave}, {kind: keyLeave}, {kind: keyDelete}, {kind: keyClear}, {}}, ""},
		{"a\x1b", []key{{keyRune, 'a'}}, "\x1b"},
		{"\x1b[1;", nil, "\x1b[1;"},
		{"\xc3", nil, "\xc3"},
		{"\xff\u202ea", []key{{}, {}, {keyRune, 'a'}}, ""},
		{"\x1bx", []key{{}}, ""},
	} {
		got, rest := parseKeys([]byte(tt.typed))
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(key{})); diff != "" || string(rest) != tt.rest {
			t.Errorf("%q: got the rest %q, want %q; keys (-want +got):\n%s", tt.typed, rest, tt.rest, diff)
		}
	}
}

// fake is a terminal without one: what is typed comes key by key, and what is drawn is kept.
type fake struct {
	*Terminal
	drawn strings.Builder
	raw   int
}

func newFake(columns, lines int, typed ...string) *fake {
	f := &fake{}
	in, out := io.Pipe()
	go func() {
		for _, t := range typed {
			_, _ = io.WriteString(out, t) // nobody reads any more
		}
		_ = out.Close() // a pipe
	}()
	f.Terminal = &Terminal{
		In: in, Out: term.NewStream(&f.drawn, true), Size: func() (int, int) { return columns, lines },
		Raw: func() (func(), error) { f.raw++; return func() { f.raw-- }, nil },
	}
	return f
}

// last is the last screen that was drawn.
func (f *fake) last() string {
	screens := strings.Split(f.drawn.String(), hideCursor)
	return strings.ReplaceAll(screens[len(screens)-1], lineEnd, "")
}

func twoFields() *Form {
	return &Form{
		Title: "launch", Done: "launches", BelowTitle: "online now", Below: []string{"anna", "ben", "cara\x1b[2J", "dave"},
		Fields: []*Field{
			{Label: "mesh", Choices: []Choice{{"", "every mesh"}, {"team", "team"}}},
			{Label: "name", Empty: "none", Check: func(text string) error {
				if text == "all" {
					return mesh.Errorf(mesh.BadName, "%q is reserved", text)
				}
				return nil
			}},
		},
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		typed      []string
		mesh, text string
		code       mesh.Code
	}{
		{"as it stands", []string{"\r"}, "", "", ""},
		{"chosen and typed", []string{"\x1b[C", "\x1b[B", "ap", "i", "\r"}, "team", "api", ""},
		{"all at once", []string{"\x1b[C\tapi\r"}, "team", "api", ""},
		{"around", []string{" ", " ", "\x1b[D", "\x1b[A", "x\x7fy", "\x15z", "\r"}, "team", "z", ""},
		{"refused, then mended", []string{"\tall\r", "y\r"}, "", "ally", ""},
		{"a sequence in two parts", []string{"\x1b", "[B", "q\r"}, "", "q", ""},
		{"Ctrl-C", []string{"\tx", "\x03"}, "", "x", mesh.Cancelled},
		{"the terminal is gone", nil, "", "", mesh.Cancelled},
	} {
		f, form := newFake(80, 24, tt.typed...), twoFields()
		err := f.Fill(t.Context(), form)
		if tt.code == "" && err != nil || tt.code != "" && !mesh.IsCode(err, tt.code) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.code)
		}
		if got := form.Fields[0].Value + "/" + form.Fields[1].Value; got != tt.mesh+"/"+tt.text {
			t.Errorf("%s: got %s, want %s/%s", tt.name, got, tt.mesh, tt.text)
		}
		if f.raw != 0 || !strings.HasSuffix(f.drawn.String(), restEnd+showCursor) {
			t.Errorf("%s: got %q at the end, want the screen and the terminal as they were", tt.name, f.last())
		}
	}
}

// A question fits the screen, whatever stands in it.
func TestFits(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {40, 9}, {30, 8}, {20, 5}, {200, 50}, {0, 0}} {
		form := twoFields()
		form.Detail = strings.Repeat("a long way ", 20)
		form.Fields[1].Value = strings.Repeat("a long name ", 20)
		f := newFake(size[0], size[1], "\t", "x", "\r")
		if err := f.Fill(t.Context(), form); err != nil {
			t.Fatal(err)
		}
		columns, lines := size[0], size[1]
		if columns == 0 {
			columns, lines = usualColumns, usualLines
		}
		for screen := range strings.SplitSeq(f.drawn.String(), hideCursor) {
			rows := strings.Split(moves.ReplaceAllString(screen, ""), "\n")
			if len(rows) > lines {
				t.Errorf("%v: got %d lines", size, len(rows))
			}
			for _, row := range rows {
				if strings.Contains(row, "\x1b") || term.Width(row) > columns {
					t.Errorf("%v: got %q, want it within %d columns", size, row, columns)
				}
			}
		}
	}
}

// moves are what a question does with the cursor.
var moves = regexp.MustCompile(`\r|\x1b\[(K|J|\d+A|\?25[lh])`)

func TestBelowIsCut(t *testing.T) {
	t.Parallel()
	f := newFake(80, 11, "\r")
	if err := f.Fill(t.Context(), twoFields()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(f.drawn.String(), hideCursor)[1]; !strings.Contains(got, "anna") || strings.Contains(got, "dave") || !strings.Contains(got, "…") {
		t.Errorf("got %q, want as many as there is room for, and that there are more", got)
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	menu := Menu{Title: "welcome", Items: []Choice{{"a", "one"}, {"b", "two"}, {"c", "three"}}}
	for _, tt := range []struct {
		typed, want string
		code        mesh.Code
	}{
		{"\r", "a", ""}, {"\x1b[B\r", "b", ""}, {"\x1b[A\r", "c", ""}, {"3", "c", ""}, {"9\x1b[B\x1b[B\r", "c", ""}, {"\x03", "", mesh.Cancelled},
	} {
		got, err := newFake(80, 24, tt.typed).Pick(t.Context(), menu)
		if got != tt.want || tt.code == "" && err != nil || tt.code != "" && !mesh.IsCode(err, tt.code) {
			t.Errorf("%q: got %q and %v, want %q", tt.typed, got, err, tt.want)
		}
	}
}

// What ends a verb ends its question.
func TestEndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := newFake(80, 24)
	in, out := io.Pipe()
	defer out.Close() // nothing was written
	f.In = in
	f.Out = term.NewStream(writerFunc(func(p []byte) (int, error) { cancel(); return f.drawn.Write(p) }), true)
	if err := f.Fill(ctx, twoFields()); !mesh.IsCode(err, mesh.Cancelled) || f.raw != 0 {
		t.Errorf("got %v, want it cancelled and the terminal put back", err)
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }
