package mesh

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var goodNames = []string{
	"ann", "Ann Ö. 2", "ops@host", "a-b_c", "Анна", "山田", "🐑", "dead", "deadbeefdeadbee", "administrator", "sYs", "o'neil", "c++", strings.Repeat("ä", 64), "été", "नमस्ते",
}

var badNames = map[string]string{
	"empty": "", "space before": " ann", "space behind": "ann ", "no-break space": "ann\u00a0", "too long": strings.Repeat("a", 65), "not UTF-8": "ann\xff",
	"replacement": "ann\uFFFD", "newline": "ann\nbob", "NUL": "ann\x00", "tab": "a\tb", "ANSI": "\x1b[31mann", "C1 control": "ann\u009b31m", "delete": "ann\x7f",
	"bidi override": "ann\u202egpj", "bidi isolate": "ann\u2066x", "left-to-right mark": "ann\u200e", "zero-width space": "an\u200bn", "zero-width joiner": "an\u200dn",
	"byte order mark": "\ufeffann", "soft hyphen": "an\u00adn", "word joiner": "an\u2060n", "grapheme joiner": "an\u034fn", "variation selector": "ann\ufe0f",
	"second variation selector": "ann\U000e0100", "tag letter": "ann\U000e0041", "filler": "ann\u3164", "blank braille": "ann\u2800", "line separator": "ann\u2028",
	"at": "@ann", "hash": "#ann", "dash": "-ann", "star": "*ann", "key": strings.Repeat("ab", 32), "key prefix": "deadbeefdeadbeef", "upper-case key prefix": "DEADBEEFDEADBEEF",
	"reserved": "admin", "reserved, other case": "SyStem", "Cyrillic": "аdmіn", "Greek": "ΑDΜΙΝ", "full width": "ｓｅｌｆ", "zero for o": "all", "one for l": "a11",
	"bar for l": "a||", "I for l": "CIaude", "I for both": "aII", "digits": "c1aude", "Kelvin-like": "ѕystem", "bold": "𝐚𝐝𝐦𝐢𝐧", "script": "𝓊𝓈𝑒𝓇", "dotless": "admın", "long s": "ſelf",
	"Armenian": "սser", "user": "user", "human": "humаn",
}

func TestThreat14CheckName(t *testing.T) {
	t.Parallel()
	for _, name := range goodNames {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: got %v, want it taken", name, err)
		}
	}
	for why, name := range badNames {
		err := CheckName(name)
		if !IsCode(err, BadName) {
			t.Errorf("%s, %+q: got %v, want %s", why, name, err, BadName)
			continue
		}
		if text := err.Error(); !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%s: the sentence %q repeats what it refuses", why, text)
		}
	}
	for name := range reserved {
		if CheckName(name) == nil || CheckName(strings.ToUpper(name)) == nil || Fold(name) != name {
			t.Errorf("%q is reserved, want it refused in any case", name)
		}
	}
}

func TestSafeName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ann": "ann", "  @ann ": "ann", "-- ann": "ann", "an\u200bn\u202e": "ann", "\x1b[31mann\x1b[0m": "[31mann[0m", "ann\nbob": "annbob", "\xffann": "ann",
		"#*-": "peer", "": "peer", "admin": "peer", "аdmin\u200b": "peer", strings.Repeat("ab", 32): "peer", strings.Repeat("x", 70): strings.Repeat("x", 64),
		strings.Repeat("x", 63) + " yz": strings.Repeat("x", 63), "❤\ufe0f ann": "❤ ann",
	} {
		if got := SafeName(text, "peer"); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	for _, alike := range [][]string{
		{"ann", "ANN", "Ann", "ａｎｎ", "аnn", "𝐀𝐧𝐧", "𝚊𝚗𝚗", "αηη"},
		{"claude", "CLAUDE", "сlаudе", "c1aude", "c|aude", "cℓaude"},
		{"hello", "hell0", "hеllο", "he𝟏𝟏𝟎"},
		{"straße", "STRAßE"},
	} {
		for _, name := range alike[1:] {
			if Fold(name) != Fold(alike[0]) {
				t.Errorf("%q is %q, and %q is %q: want the same", name, Fold(name), alike[0], Fold(alike[0]))
			}
		}
	}
	for _, pair := range [][2]string{{"ann", "anne"}, {"ann", "änn"}, {"bob", "rob"}, {"山", "川"}} {
		if Fold(pair[0]) == Fold(pair[1]) {
			t.Errorf("%q and %q do not look alike, and both are %q", pair[0], pair[1], Fold(pair[0]))
		}
	}
}

func TestThreat19ParseGroup(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"ops": "ops", "@ops": "ops", "a/b/c": "a/b/c", "0_.-": "0_.-", "all": "all", strings.Repeat("g", 64): strings.Repeat("g", 64)} {
		if got, err := ParseGroup(in); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "@", "@@ops", "*", "../x", "/x", ".x", "_x", "-x", "a b", "ops'", "ä", "ops\x00", strings.Repeat("g", 65)} {
		if got, err := ParseGroup(in); got != "" || !IsCode(err, BadName) {
			t.Errorf("%q: got %q, %v, want %s", in, got, err, BadName)
		}
	}
}

func TestSlugs(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"ab", "0-9", "my-team-", strings.Repeat("s", 32)} {
		if got, err := ParseSlug(in); got != in || err != nil {
			t.Errorf("%q: got %q, %v, want it back", in, got, err)
		}
	}
	for _, in := range []string{"", "a", "-a", "Ab", "a b", "a_b", "ä-b", "a/b", "a\n", strings.Repeat("s", 33)} {
		if got, err := ParseSlug(in); got != "" || !IsCode(err, BadName) {
			t.Errorf("%q: got %q, %v, want %s", in, got, err, BadName)
		}
	}
	for in, want := range map[string]string{
		"My Team": "my-team", "  a..b  ": "a-b", "Ünïcode": "n-code", "": "mesh", "!": "mesh", "x": "mesh", "山田": "mesh",
		strings.Repeat("s", 40): strings.Repeat("s", 32), strings.Repeat("s", 31) + " t": strings.Repeat("s", 31),
	} {
		if got := SlugOf(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// FuzzName holds any text against what names, groups and slugs promise.
func FuzzName(f *testing.F) {
	for _, name := range goodNames {
		f.Add(name)
	}
	for _, name := range badNames {
		f.Add(name)
	}
	f.Add("a/b.c-d_e")
	group, slug := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_./-]{0,63}$`), regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,31}$`)
	f.Fuzz(func(t *testing.T, text string) {
		safe := SafeName(text, "peer")
		if err := CheckName(safe); err != nil {
			t.Errorf("%q was made %q: %v", text, safe, err)
		}
		if again := SafeName(safe, "other"); again != safe {
			t.Errorf("%q was made %q, then %q", text, safe, again)
		}
		if CheckName(text) == nil {
			hidden := func(r rune) bool { return !unicode.IsPrint(r) || unicode.Is(unicode.Cf, r) }
			if safe != text || !utf8.ValidString(text) || strings.ContainsFunc(text, hidden) || reserved[strings.ToLower(text)] {
				t.Errorf("%q was taken", text)
			}
		}
		if once := Fold(text); utf8.ValidString(text) && (Fold(once) != once || Fold(strings.ToUpper(once)) != once && isASCII(once)) {
			t.Errorf("%q is folded to %q, then to %q, and in capitals to %q", text, once, Fold(once), Fold(strings.ToUpper(once)))
		}
		if name, err := ParseGroup(text); err == nil && (!group.MatchString(name) || strings.TrimPrefix(text, "@") != name) {
			t.Errorf("%q is the group %q", text, name)
		}
		if name, err := ParseSlug(text); err == nil && (!slug.MatchString(name) || name != text) {
			t.Errorf("%q is the slug %q", text, name)
		}
		if name := SlugOf(text); !slug.MatchString(name) {
			t.Errorf("%q was made the slug %q", text, name)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
