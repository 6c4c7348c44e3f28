package prompt

import (
	"context"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Choice is one of several answers.
type Choice struct{ Value, Text string }

// Field is one line of a form.
type Field struct {
	Label   string
	Value   string             // preset, then the answer
	Empty   string             // stands there while Value is empty
	Choices []Choice           // what Value can be; without them it is typed
	Check   func(string) error // of what was typed; may be nil
}

// Form is a few questions at once, all of them answered before it is drawn: Enter takes them as they stand.
type Form struct {
	Title, Detail string
	Fields        []*Field // at least one
	Done          string   // what Enter does, as a verb: launches

	// Below stands under the fields; as many lines of it as there is room for.
	BelowTitle string
	Below      []string
}

// Fill has a human change a form. cancelled: nothing is to be done.
func (t *Terminal) Fill(ctx context.Context, f *Form) error {
	return t.ask(ctx, &filling{Form: f})
}

// filling is a form while it is filled.
type filling struct {
	*Form
	at      int    // the field that keys go to
	mistake string // in it
}

const (
	mark     = "▸"
	cursor   = "▏"
	indent   = "  "
	labelGap = 3
)

func (f *filling) draw(s term.Stream, columns, lines int) []string {
	out := heading(s, f.Title, f.Detail, columns)
	width := 0
	for _, field := range f.Fields {
		width = max(width, term.Width(field.Label))
	}
	for i, field := range f.Fields {
		here := i == f.at
		lead := indent + "  "
		if here {
			lead = indent + s.Paint(term.Clay, mark) + " "
		}
		label := term.Pad(field.Label, width+labelGap)
		room := columns - len(indent) - 2 - term.Width(label) - 1
		out = append(out, lead+s.Paint(term.Dim, label)+field.show(s, here, room))
		if here && f.mistake != "" {
			out = append(out, indent+"  "+strings.Repeat(" ", width+labelGap)+s.Paint(term.Red, term.Fit(term.Clean(f.mistake), room)))
		}
	}
	tail := []string{"", foot(s, "Enter "+f.Done+" · ↑↓ another line · ←→ another choice · Ctrl-C leaves", columns)}
	if room := lines - len(out) - len(tail) - 2; len(f.Below) > 0 && room > 0 {
		out = append(out, "", indent+s.Paint(term.Dim, f.BelowTitle))
		out = append(out, fitBelow(s, f.Below, room, columns)...)
	}
	return append(out, tail...)
}

// fitBelow cuts a list to the room that there is, and says so.
func fitBelow(s term.Stream, all []string, room, columns int) (out []string) {
	for i, line := range all {
		if i == room-1 && len(all) > room {
			return append(out, indent+"  "+s.Paint(term.Dim, "…"))
		}
		out = append(out, indent+"  "+term.Fit(term.Clean(line), columns-5))
	}
	return out
}

// heading is the first lines of every question.
func heading(s term.Stream, title, detail string, columns int) []string {
	head := indent + s.Paint(term.Dim, "—") + " " + s.Paint(term.Clay, title)
	if room := columns - term.Width(title) - 9; detail != "" && room > 8 {
		head += s.Paint(term.Dim, " · "+term.Fit(term.Clean(detail), room))
	}
	return []string{"", head, ""}
}

// foot is the last line.
func foot(s term.Stream, text string, columns int) string {
	return indent + s.Paint(term.Dim, term.Fit(text, columns-len(indent)-1))
}

// show gives the value of a field within so many columns.
func (f *Field) show(s term.Stream, here bool, room int) string {
	if len(f.Choices) > 0 {
		text := term.Fit(term.Clean(f.Choices[f.chosen()].Text), room-4)
		if here {
			return s.Paint(term.Dim, "‹ ") + s.Paint(term.Bold, text) + s.Paint(term.Dim, " ›")
		}
		return text
	}
	if here {
		return s.Paint(term.Bold, last(f.Value, room-1)) + cursor + s.Paint(term.Dim, term.Fit(f.hint(), max(0, room-term.Width(f.Value)-1)))
	}
	if f.Value == "" {
		return s.Paint(term.Dim, term.Fit(f.Empty, room))
	}
	return term.Fit(term.Clean(f.Value), room)
}

func (f *Field) hint() string {
	if f.Value != "" {
		return ""
	}
	return f.Empty
}

// last is the end of a text, which is where it is typed.
func last(text string, columns int) string {
	runes := []rune(term.Clean(text))
	for term.Width(string(runes)) > columns && len(runes) > 0 {
		runes = runes[1:]
	}
	return string(runes)
}

// chosen is the place of the value among the choices; the first one where it is none of them.
func (f *Field) chosen() int {
	return max(0, slices.IndexFunc(f.Choices, func(c Choice) bool { return c.Value == f.Value }))
}

// maxValueRunes bounds what is typed: the longest that is asked for is a link.
const maxValueRunes = 2048

func (f *filling) press(k key) bool {
	field := f.Fields[f.at]
	f.mistake = ""
	switch k.kind {
	case keyEnter:
		return f.check()
	case keyUp:
		f.at = (f.at + len(f.Fields) - 1) % len(f.Fields)
	case keyDown:
		f.at = (f.at + 1) % len(f.Fields)
	default:
		field.press(k)
	}
	return false
}

// check goes to the first field whose value is refused.
func (f *filling) check() bool {
	for i, field := range f.Fields {
		if field.Check == nil {
			continue
		}
		if err := field.Check(field.Value); err != nil {
			f.at, f.mistake = i, mesh.PublicText(err)
			return false
		}
	}
	return true
}

func (f *Field) press(k key) {
	if n := len(f.Choices); n > 0 {
		switch {
		case k.kind == keyRight, k.kind == keyRune && k.r == ' ':
			f.Value = f.Choices[(f.chosen()+1)%n].Value
		case k.kind == keyLeft:
			f.Value = f.Choices[(f.chosen()+n-1)%n].Value
		}
		return
	}
	runes := []rune(f.Value)
	switch {
	case k.kind == keyRune && len(runes) < maxValueRunes:
		f.Value = string(append(runes, k.r))
	case k.kind == keyDelete && len(runes) > 0:
		f.Value = string(runes[:len(runes)-1])
	case k.kind == keyClear:
		f.Value = ""
	}
}
