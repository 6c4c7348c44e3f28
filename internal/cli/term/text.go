package term

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes foreign text safe to print on one line: control, bidirectional and invisible characters become �.
func Clean(text string) string { return strings.Map(safe, strings.ToValidUTF8(text, "\uFFFD")) }

// CleanBlock is Clean for text of several lines: line feeds, tabs and the joiners of emoji and scripts stay.
func CleanBlock(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch r {
		case '\n', '\t', '\u200C', '\u200D':
			return r
		}
		return safe(r)
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

func safe(r rune) rune {
	if !unicode.IsGraphic(r) || blank(r) {
		return utf8.RuneError
	}
	return r
}

// blank holds characters that count as text and show nothing.
func blank(r rune) bool {
	switch r {
	case 0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800:
		return true
	}
	return false
}

// Short cuts text to n characters, with an ellipsis.
func Short(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n]) + "…"
}

// Width is how many columns a text takes: two for East Asian characters and emoji, none for combining marks.
func Width(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && r <= 0x115F, r >= 0x2E80 && r <= 0xA4CF && r != 0x303F, r >= 0xAC00 && r <= 0xD7A3,
		r >= 0xF900 && r <= 0xFAFF, r >= 0xFE30 && r <= 0xFE6F, r >= 0xFF00 && r <= 0xFF60, r >= 0xFFE0 && r <= 0xFFE6,
		r >= 0x1F300 && r <= 0x1F64F, r >= 0x1F680 && r <= 0x1F6FF, r >= 0x1F900 && r <= 0x1FAFF, r >= 0x20000 && r <= 0x3FFFD:
		return 2
	}
	return 1
}

// Pad fills text with spaces up to a width in columns.
func Pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-Width(text)))
}

// Fit cuts text to a width in columns, with an ellipsis in it.
func Fit(text string, columns int) string {
	if Width(text) <= columns {
		return text
	}
	n := 0
	for i, r := range text {
		if n += runeWidth(r); n >= columns {
			return text[:i] + "…"
		}
	}
	return text
}

// Wrap breaks text into lines of at most so many columns. Blank lines part paragraphs; a line that begins with spaces
// stays as it is.
func Wrap(text string, columns int) []string {
	var lines []string
	open := false // the last line may be added to
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || strings.HasPrefix(line, " ") {
			lines, open = append(lines, line), false
			continue
		}
		for word := range strings.FieldsSeq(line) {
			last := len(lines) - 1
			if open && Width(lines[last])+1+Width(word) <= columns {
				lines[last] += " " + word
				continue
			}
			lines, open = append(lines, word), true
		}
	}
	return lines
}
