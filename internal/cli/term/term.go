// Package term writes for people: streams, colour where a terminal can show it, marks, columns, and text that cannot
// play tricks on the terminal.
//
// Data goes to standard output, talk to standard error. Colour is decided per stream: a terminal, no NO_COLOR, TERM not
// dumb (cli 7.2).
package term

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// Columns is the width that everything for people keeps within, where the words allow it.
const Columns = 80

// Stream is one of the standard streams.
type Stream struct {
	io.Writer
	TTY    bool
	colour bool
}

// NewStream wraps w. noColour is what the environment says.
func NewStream(w io.Writer, noColour bool) Stream {
	s := Stream{Writer: w}
	if f, ok := w.(*os.File); ok {
		s.TTY = isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd())
	}
	s.colour = s.TTY && !noColour
	return s
}

// To is s with its text going to w: what is written for a terminal can be collected first.
func (s Stream) To(w io.Writer) Stream {
	s.Writer = w
	return s
}

// Size is how many columns and lines the terminal shows at once, at this moment; 0 where s is none, or nobody knows.
func (s Stream) Size() (columns, lines int) {
	if f, ok := s.Writer.(*os.File); ok && s.TTY {
		return size(f)
	}
	return 0, 0
}

// Reads reports whether r is a terminal, and gives its file.
func Reads(r io.Reader) (*os.File, bool) {
	f, ok := r.(*os.File)
	return f, ok && isatty.IsTerminal(f.Fd())
}

// Plainly is s without colour.
func (s Stream) Plainly() Stream {
	s.colour = false
	return s
}

// Style is a colour or weight.
type Style string

// The styles (cli 7.2).
const (
	Bold   Style = "1"
	Dim    Style = "2"
	Green  Style = "32"
	Yellow Style = "33"
	Red    Style = "31"
	Cyan   Style = "36"
	Clay   Style = "38;5;173"
	Title  Style = "1;38;5;173"
	Orange Style = "38;5;208"
)

// Paint gives text in a style, or plain where the stream shows no colour. The text is made safe first.
func (s Stream) Paint(style Style, text string) string {
	text = Clean(text)
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

// margin stands before every line for people (cli 7.1).
const margin = "  "

// Line writes one line. Arguments are printed as they are: pass foreign text through Clean or Paint.
func (s Stream) Line(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(margin+format, args...), " ")
	_, _ = io.WriteString(s, text+"\n") // a closed terminal is nobody's loss; data is collected first
}

// Plain writes one line without the margin, as log-like notices stand.
func (s Stream) Plain(format string, args ...any) {
	_, _ = fmt.Fprintf(s, format+"\n", args...) // as Line
}

// Blank writes an empty line.
func (s Stream) Blank() { _, _ = fmt.Fprintln(s) } // as Line

// OK writes a success with a dim detail, which may be empty.
func (s Stream) OK(message, detail string) {
	line := s.Paint(Green, "✔") + " " + Clean(message)
	if detail != "" {
		line += " " + s.Paint(Dim, "("+detail+")")
	}
	s.Line("%s", line)
}

// Off writes that something is not there or does not run.
func (s Stream) Off(message string) { s.Line("%s %s", s.Paint(Dim, "○"), Clean(message)) }

// Warn writes a warning.
func (s Stream) Warn(message string) { s.Line("%s %s", s.Paint(Yellow, "⚠"), Clean(message)) }

// Hint writes what to do next.
func (s Stream) Hint(text string) { s.Line("%s", s.Paint(Dim, "→ "+text)) }

// Section writes a title between blank lines.
func (s Stream) Section(title string) { s.Heading(title, "") }

// Heading is Section with a dim detail.
func (s Stream) Heading(title, detail string) {
	if detail != "" {
		detail = s.Paint(Dim, " · "+detail)
	}
	s.Blank()
	s.Line("%s %s%s", s.Paint(Dim, "—"), s.Paint(Clay, title), detail)
	s.Blank()
}

// Empty writes that there is nothing to list.
func (s Stream) Empty(what string) { s.Line("%s", s.Paint(Dim, "("+what+")")) }

// Pairs writes names and values in two columns; pairs without a value are left out.
func (s Stream) Pairs(pairs ...[2]string) {
	width := 0
	for _, p := range pairs {
		if p[1] != "" {
			width = max(width, Width(Clean(p[0]))+2)
		}
	}
	for _, p := range pairs {
		if p[1] != "" {
			s.Line("%s%s%s", s.Paint(Dim, p[0]), strings.Repeat(" ", width-Width(Clean(p[0]))), Clean(p[1]))
		}
	}
}

// Rows writes names and dim facts about them in two columns.
func (s Stream) Rows(rows ...[2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, Width(Clean(r[0])))
	}
	for _, r := range rows {
		s.Line("%s%s  %s", s.Paint(Bold, r[0]), strings.Repeat(" ", width-Width(Clean(r[0]))), s.Paint(Dim, r[1]))
	}
}

// Block writes text of several lines, indented and safe.
func (s Stream) Block(indent, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(CleanBlock(text), "\n"), "\n") {
		s.Line("%s%s", indent, line)
	}
}
