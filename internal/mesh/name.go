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
// bidirectional or invisible characters (emoji of several characters among them), a leading `@ # - *`, a reserved word
// or one that looks like it, and text that would be read as a key. The error is bad_name.
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
	case reserved[Fold(name)], reserved[Fold(strings.ReplaceAll(name, "I", "l"))]:
		return Errorf(BadName, "%q is reserved", name)
	}
	return nil
}

// SafeName turns any text into something CheckName accepts, for names taken from hosts and folders.
func SafeName(text, fallback string) string {
	name := strings.Map(func(r rune) rune {
		if visible(r) {
			return r
		}
		return -1
	}, text)
	name = strings.TrimLeft(strings.TrimSpace(name), "@#-* ")
	if utf8.RuneCountInString(name) > maxNameRunes {
		name = strings.TrimSpace(string([]rune(name)[:maxNameRunes]))
	}
	if CheckName(name) != nil {
		return fallback
	}
	return name
}

// confusable maps letters of other scripts, and digits, that are drawn like an ASCII letter. Capitals stand here where
// their small letter is drawn like another one, or like none.
var confusable = map[rune]rune{
	'а': 'a', 'е': 'e', 'о': 'o', 'р': 'p', 'с': 'c', 'у': 'y', 'х': 'x', 'і': 'i', 'ј': 'j', 'ѕ': 's', 'һ': 'h', 'ԁ': 'd', 'ӏ': 'l',
	'м': 'm', 'н': 'h', 'т': 't', 'к': 'k', 'в': 'b', 'ո': 'n', 'ս': 'u', 'Ӏ': 'l',
	'α': 'a', 'ο': 'o', 'ν': 'v', 'ρ': 'p', 'ι': 'i', 'κ': 'k', 'υ': 'u', 'τ': 't', 'η': 'n', 'μ': 'u', 'µ': 'u', 'ε': 'e', 'ϲ': 'c', 'ϳ': 'j',
	'Α': 'a', 'Β': 'b', 'Ε': 'e', 'Ζ': 'z', 'Η': 'h', 'Ι': 'i', 'Κ': 'k', 'Μ': 'm', 'Ν': 'n', 'Ο': 'o', 'Ρ': 'p', 'Τ': 't', 'Υ': 'y', 'Χ': 'x', 'Ϲ': 'c',
	'ı': 'i', 'ɑ': 'a', 'ɡ': 'g', 'ℓ': 'l', 'ſ': 's', '0': 'o', '1': 'l', '|': 'l',
}

// Fold gives the form under which two names look alike: lower case, letters of full width, of mathematics and
// look-alikes mapped to ASCII.
func Fold(name string) string { return strings.Map(fold, name) }

func fold(r rune) rune {
	switch {
	case 0xFF01 <= r && r <= 0xFF5E: // ASCII of full width
		r -= 0xFEE0
	case 0x1D400 <= r && r < 0x1D6A4: // alphabets of mathematics: A to Z, a to z, and again in the next style
		r = 'a' + (r-0x1D400)%26
	case 0x1D7CE <= r && r <= 0x1D7FF: // their digits
		r = '0' + (r-0x1D7CE)%10
	}
	if to, ok := confusable[r]; ok {
		return to
	}
	r = unicode.ToLower(r)
	if to, ok := confusable[r]; ok {
		return to
	}
	return r
}

// printable refuses what a terminal or a model could take for something else than text.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !visible(r) })
}

// visible refuses what prints nothing, reorders its neighbours or only changes how they are drawn, so that two names
// could differ and look the same. What is not UTF-8 reads as RuneError.
func visible(r rune) bool {
	return r != utf8.RuneError && r != blankBraille && unicode.IsPrint(r) &&
		!unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// blankBraille is a pattern of no dots.
const blankBraille = 0x2800

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
