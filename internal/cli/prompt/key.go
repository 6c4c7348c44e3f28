package prompt

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// kind is what a key means here.
type kind int

const (
	keyOther kind = iota // nothing
	keyRune
	keyEnter
	keyLeave
	keyUp
	keyDown
	keyLeft
	keyRight
	keyDelete // the character before
	keyClear  // all of the field
)

// key is a key that was pressed.
type key struct {
	kind kind
	r    rune // of keyRune
}

// control is what a key means that is one byte.
func control(b byte) kind {
	switch b {
	case 3, 4: // Ctrl-C, Ctrl-D
		return keyLeave
	case '\r', '\n':
		return keyEnter
	case '\t', 14: // Ctrl-N
		return keyDown
	case 16: // Ctrl-P
		return keyUp
	case 8, 127, 23: // Ctrl-W: a word is short here
		return keyDelete
	case 21: // Ctrl-U
		return keyClear
	}
	return keyOther
}

// sequence is what a key means by what stands behind ESC [ or ESC O.
func sequence(text string) kind {
	switch text {
	case "A", "Z": // Shift-Tab
		return keyUp
	case "B":
		return keyDown
	case "C":
		return keyRight
	case "D":
		return keyLeft
	case "3~":
		return keyDelete
	}
	return keyOther
}

// parseKeys reads keys, and gives back what is only the beginning of one.
func parseKeys(data []byte) (pressed []key, rest []byte) {
	for len(data) > 0 {
		k, n := parseKey(data)
		if n == 0 {
			return pressed, bytes.Clone(data)
		}
		pressed, data = append(pressed, k), data[n:]
	}
	return pressed, nil
}

// parseKey reads one key and its length in bytes; 0 where more of it is to come.
func parseKey(data []byte) (key, int) {
	const escape = 0x1b
	if data[0] == escape {
		return parseSequence(data)
	}
	if data[0] < ' ' || data[0] == 127 {
		return key{kind: control(data[0])}, 1
	}
	if !utf8.FullRune(data) {
		return key{}, 0
	}
	r, n := utf8.DecodeRune(data)
	if r == utf8.RuneError || !unicode.IsPrint(r) {
		return key{}, n
	}
	return key{keyRune, r}, n
}

// parseSequence reads what begins with ESC: ESC [ or ESC O, parameters, and a final byte from @ to ~; else one more byte.
func parseSequence(data []byte) (key, int) {
	if len(data) < 2 {
		return key{}, 0
	}
	if data[1] != '[' && data[1] != 'O' {
		return key{}, 2
	}
	for i := 2; i < len(data); i++ {
		if data[i] >= '@' && data[i] <= '~' {
			return key{kind: sequence(string(data[2 : i+1]))}, i + 1
		}
	}
	return key{}, 0
}
