// Package splice changes single values in the files of other programs and leaves every other byte as it is: comments, order,
// spacing, line ends and what we do not know. It works on text and touches no file.
package splice

import (
	"bytes"
	"slices"
)

// cut replaces the bytes of a text from one offset up to another.
type cut struct {
	from, to int
	with     string
}

// apply makes cuts that do not overlap, given in any order.
func apply(text []byte, cuts ...cut) []byte {
	slices.SortStableFunc(cuts, func(a, b cut) int { return a.from - b.from })
	var b bytes.Buffer
	at := 0
	for _, c := range cuts {
		b.Write(text[at:c.from])
		b.WriteString(c.with)
		at = c.to
	}
	b.Write(text[at:])
	return b.Bytes()
}

// lineEnd is how the lines of a text end.
func lineEnd(text []byte) string {
	if bytes.Contains(text, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

const blanks = " \t\r\n"

// trimmed is the offset before the blanks that end at offset end, not below start.
func trimmed(text []byte, start, end int) int {
	return start + len(bytes.TrimRight(text[start:end], blanks))
}

// indentOf is the white space before the first other sign on the line of an offset.
func indentOf(text []byte, at int) string {
	start := bytes.LastIndexByte(text[:at], '\n') + 1
	line := text[start:at]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}
