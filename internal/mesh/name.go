package mesh

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNameRunes bounds display names; longer ones break every list.
const maxNameRunes = 64

// reserved names would let a peer pose as something else (design C5).
var reserved = map[string]bool{
	"user": true, "system": true, "claude": true, "human": true, "admin": true, "self": true, "all": true,
}

// CheckName refuses a display name that cannot be shown or trusted: empty, over 64 characters, control,
// bidirectional or invisible characters, a leading `@ # - *`, a reserved word or one that looks like it,
// and text that would be read as a key. The error is bad_name.
func CheckName(name string) error {
	switch {
	case name == "" || strings.TrimSpace(name) != name:
		return Errorf(BadName, "a name is not empty and has no spaces at its ends")
	case !utf8.ValidString(name):
		return Errorf(BadName, "a name is valid UTF-8")
	case utf8.RuneCountInString(name) > maxNameRunes:
		return Errorf(BadName, "a name has at most %d characters", maxNameRunes)
	case !printable(name):
		return Errorf(BadName, "a name has no control or invisible characters")
	case strings.ContainsRune("@#-*", rune(name[0])):
		return Errorf(BadName, "a name does not begin with %q", name[:1])
	case isHex(name) && len(name) >= minPrefix:
		return Errorf(BadName, "a name does not look like a key")
	case reserved[Fold(name)]:
		return Errorf(BadName, "%q is reserved", name)
	}
	return nil
}

// SafeName turns any text into something CheckName accepts, for names taken from hosts and folders.
func SafeName(text, fallback string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) && !invisible(r) {
			b.WriteRune(r)
		}
	}
	name := strings.TrimLeft(strings.TrimSpace(b.String()), "@#-* ")
	if utf8.RuneCountInString(name) > maxNameRunes {
		name = strings.TrimSpace(string([]rune(name)[:maxNameRunes]))
	}
	if CheckName(name) != nil {
		return fallback
	}
	return name
}

// confusable maps letters of other scripts, and digits, that are drawn like an ASCII letter.
var confusable = map[rune]rune{
	'а': 'a', 'е': 'e', 'о': 'o', 'р': 'p', 'с': 'c', 'у': 'y', 'х': 'x', 'і': 'i', 'ј': 'j', 'ѕ': 's', 'һ': 'h', 'ԁ': 'd', 'ӏ': 'l',
	'м': 'm', 'н': 'h', 'т': 't', 'к': 'k', 'в': 'b', 'ո': 'n', 'ս': 'u',
	'α': 'a', 'ο': 'o', 'ν': 'v', 'ρ': 'p', 'ι': 'i', 'κ': 'k', 'υ': 'u', 'τ': 't', 'η': 'n', 'μ': 'u', 'ε': 'e',
	'ı': 'i', 'ɑ': 'a', 'ɡ': 'g', 'ℓ': 'l', '0': 'o', '1': 'l', '|': 'l',
}

// Fold gives the form under which two names look alike: lower case, full-width and look-alike letters mapped to ASCII.
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0xFF01 && r <= 0xFF5E { // full-width ASCII
			r -= 0xFEE0
		}
		r = unicode.ToLower(r)
		if to, ok := confusable[r]; ok {
			return to
		}
		return r
	}, name)
}

// printable refuses what a terminal or a model could take for something else than text.
func printable(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) || invisible(r) {
			return false
		}
	}
	return true
}

// invisible holds characters that print nothing or reorder their neighbours.
func invisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Bidi_Control, r) ||
		r == 0x115F || r == 0x1160 || r == 0x3164 || r == 0xFFA0 || r == 0x2800
}

// maxGroupBytes bounds a group path.
const maxGroupBytes = 64

// ParseGroup reads a group name, with or without its @: letters, digits and `_ . / -`, at most 64 (wire 7.2).
func ParseGroup(s string) (string, error) {
	s = strings.TrimPrefix(s, "@")
	ok := s != "" && len(s) <= maxGroupBytes && !strings.ContainsRune("_./-", rune(s[0]))
	for _, c := range []byte(s) {
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		ok = ok && (alnum || strings.IndexByte("_./-", c) >= 0)
	}
	if !ok {
		return "", Errorf(BadName, "a group has 1 to %d letters, digits, or _ . / - and begins with a letter or digit", maxGroupBytes)
	}
	return s, nil
}

// ParseSlug checks the short name of a mesh: 2 to 32 of `a-z 0-9 -`, beginning with a letter or digit.
func ParseSlug(s string) (string, error) {
	ok := len(s) >= 2 && len(s) <= 32 && s[0] != '-'
	for _, c := range []byte(s) {
		ok = ok && ('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '-')
	}
	if !ok {
		return "", Errorf(BadName, "a mesh name has 2 to 32 of a-z, 0-9 and -, and does not begin with -")
	}
	return s, nil
}

// SlugOf makes a slug of any text: lower case, everything else a dash; "mesh" when nothing is left.
func SlugOf(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	s := b.String()
	if len(s) > 32 {
		s = s[:32]
	}
	s = strings.Trim(s, "-")
	if len(s) < 2 {
		return "mesh"
	}
	return s
}
