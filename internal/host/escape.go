package host

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// visible writes what nobody could see, or what would make text look like other text, as an escape that can be seen.
// Line feeds and tabs stay where lines may.
func visible(text string, lines bool) string {
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range text {
		switch {
		case r == utf8.RuneError:
			b.WriteRune(r) // also for bytes that are no UTF-8
		case r == '\n' || r == '\t':
			if !lines {
				r = ' '
			}
			b.WriteRune(r)
		case hidden(r):
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hidden reports whether a character prints nothing, or moves others: controls (the first of every terminal sequence
// is one), line and paragraph separators, bidirectional controls, tags and the like. What joins letters and emoji stays.
func hidden(r rune) bool {
	switch {
	case joins(r):
		return false
	case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), r == 0x2028, r == 0x2029:
		return true
	case r == 0x115F, r == 0x1160, r == 0x3164, r == 0xFFA0, r == 0x2800, r == 0x034F: // blank letters
		return true
	}
	return unicode.Is(unicode.Variation_Selector, r)
}

// joins reports whether a character has a use in ordinary text though it prints nothing: the two joiners, and the
// selectors of text and emoji style.
func joins(r rune) bool { return r == 0x200C || r == 0x200D || r == 0xFE0E || r == 0xFE0F }

// delimiters are the names of elements that hosts and models give a meaning to; those that end in a sign stand for all
// that begin so. Other elements may be talked about freely.
var delimiters = []string{
	"cross-session-", "channel", "channel-", "system", "system-", "user", "human", "assistant", "teammate-", "agent-",
	"task-", "local-command-", "command-", "bash-", "function_", "antml:", "invoke", "parameter", "tool_", "claudemesh-",
}

// disarm takes the meaning from every opening bracket that begins a delimiter: in any case, with blanks, slashes and
// joiners before and within it, or drawn in letters that look alike.
func disarm(text string) string {
	var b strings.Builder
	from := 0
	for at, r := range text {
		if !opens(r) || !delimits(text[at+utf8.RuneLen(r):]) {
			continue
		}
		b.WriteString(text[from:at] + "&lt;")
		from = at + utf8.RuneLen(r)
	}
	if from == 0 {
		return text
	}
	b.WriteString(text[from:])
	return b.String()
}

// opens reports whether a character is an opening bracket of an element, or drawn like one.
func opens(r rune) bool {
	switch r {
	case '<', 0xFF1C, 0xFE64, 0x2039, 0x2329, 0x3008, 0x27E8, 0x02C2, 0x276E, 0x2770, 0x276C, 0x1438:
		return true
	}
	return false
}

// delimits reports whether what follows a bracket is a delimiter. The next bracket ends the search, so that all of them
// together cost no more than reading the text once.
func delimits(rest string) bool {
	var name strings.Builder
	for _, r := range rest {
		switch {
		case joins(r) || unicode.Is(unicode.Mn, r):
			continue
		case name.Len() == 0 && (unicode.IsSpace(r) || strings.ContainsRune(`/\!?`, r)):
			continue
		}
		name.WriteString(mesh.Fold(plain(r)))
		if done, is := judge(name.String()); done {
			return is
		}
	}
	return slices.Contains(delimiters, name.String())
}

// judge says whether a beginning is that of a delimiter, once it is long enough to tell.
func judge(name string) (done, is bool) {
	last, size := utf8.DecodeLastRuneInString(name)
	if !unicode.IsLetter(last) && slices.Contains(delimiters, name) {
		return true, true // an entry that ends in a sign
	}
	if !unicode.IsLetter(last) && !unicode.IsDigit(last) && slices.Contains(delimiters, name[:len(name)-size]) {
		return true, true // the end of a word
	}
	begins := func(d string) bool { return strings.HasPrefix(d, name) }
	return !slices.ContainsFunc(delimiters, begins), false
}

// plain gives the letter r, one dash for all that are drawn like it, and s for its long form, which is equal to s where
// case does not count.
func plain(r rune) string {
	switch {
	case unicode.Is(unicode.Pd, r), r == 0x2212:
		return "-"
	case r == 'ſ':
		return "s"
	case r == 0xFF1A:
		return ":"
	}
	return string(r)
}
