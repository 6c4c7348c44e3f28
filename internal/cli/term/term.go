// Package term writes for people: streams, colour where a terminal can show it, marks, tables, and text that cannot
// play tricks on the terminal.
//
// Data goes to Out, talk to Err. Colour is decided per stream: a terminal, no NO_COLOR, TERM not dumb.
package term

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-isatty"
)

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
	_, _ = fmt.Fprintf(s, margin+format+"\n", args...) // a closed terminal is nobody's loss
}

// OK writes a success with a dim detail, which may be empty.
func (s Stream) OK(message, detail string) {
	line := s.Paint(Green, "✔") + " " + Clean(message)
	if detail != "" {
		line += " " + s.Paint(Dim, "("+detail+")")
	}
	s.Line("%s", line)
}

// Warn writes a warning.
func (s Stream) Warn(message string) { s.Line("%s %s", s.Paint(Yellow, "⚠"), Clean(message)) }

// Hint writes what to do next.
func (s Stream) Hint(text string) { s.Line("%s", s.Paint(Dim, "→ "+text)) }

// Section writes a title between blank lines.
func (s Stream) Section(title string) {
	_, _ = fmt.Fprintln(s) // as Line
	s.Line("%s %s", s.Paint(Dim, "—"), s.Paint(Clay, title))
	_, _ = fmt.Fprintln(s) // as Line
}

// Empty writes that there is nothing to list.
func (s Stream) Empty(what string) { s.Line("%s", s.Paint(Dim, "("+what+")")) }

// Pairs writes names and values in two columns; pairs without a value are left out.
func (s Stream) Pairs(pairs ...[2]string) {
	width := 0
	for _, p := range pairs {
		if p[1] != "" {
			width = max(width, len(p[0])+2)
		}
	}
	for _, p := range pairs {
		if p[1] != "" {
			s.Line("%s%s%s", s.Paint(Dim, p[0]), strings.Repeat(" ", width-len(p[0])), Clean(p[1]))
		}
	}
}

// Clean makes foreign text safe to print on one line: control, bidirectional and invisible characters become �.
func Clean(text string) string { return strings.Map(safe, strings.ToValidUTF8(text, "\uFFFD")) }

// CleanBlock is Clean for text of several lines: line feeds and tabs stay.
func CleanBlock(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return safe(r)
	}, strings.ToValidUTF8(strings.ReplaceAll(text, "\r\n", "\n"), "\uFFFD"))
}

func safe(r rune) rune {
	if r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Cf, r) {
		return r
	}
	return utf8.RuneError
}

// Short cuts text to n characters, with an ellipsis.
func Short(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n]) + "…"
}

// Plain writes one line without the margin, as log-like notices stand.
func (s Stream) Plain(format string, args ...any) {
	_, _ = fmt.Fprintf(s, format+"\n", args...) // as Line
}
