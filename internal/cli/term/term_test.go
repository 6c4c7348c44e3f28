package term

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain text":                 "plain text",
		"déjà vu 文書 🙂":               "déjà vu 文書 🙂",
		"\x1b[31mred\x1b[0m":         "�[31mred�[0m",
		"a\rb\nc\td":                 "a�b�c�d",
		"bell\x07 del\x7f nul\x00":   "bell� del� nul�",
		"c1 \u009b31m \u0085":        "c1 �31m �",
		"\u202eevil\u2066 \u200bx":   "�evil� �x",
		"tag\U000e0041 soft\u00ad":   "tag� soft�",
		"line\u2028par\u2029":        "line�par�",
		"blank\u3164\u2800\u115f":    "blank���",
		"bad \xff\xfe utf8 \xed\xa0": "bad � utf8 �",
		"zero\u200dwidth":            "zero�width",
		"no\u00a0break":              "no\u00a0break",
	} {
		if got := Clean(text); got != want {
			t.Errorf("got %q of %q, want %q", got, text, want)
		}
	}
}

func TestCleanBlock(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"one\ntwo\r\n\tthree":    "one\ntwo\n\tthree",
		"over\rwrite":            "over�write",
		"👩\u200d💻 می\u200cخواهم": "👩\u200d💻 می\u200cخواهم",
		"\x1b]0;title\x07":       "�]0;title�",
		"\u202e\u2067":           "��",
	} {
		if got := CleanBlock(text); got != want {
			t.Errorf("got %q of %q, want %q", got, text, want)
		}
	}
}

// FuzzClean keeps the promises of both: what comes out is UTF-8 that a terminal shows as text, is not longer in
// characters, stays as it is the second time, and plain text passes untouched.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "plain", "\x1b[2J", "a\r\nb", "\u202e", "\xff\xfe", "👩\u200d💻", "\u2028\u009b\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, clean := range map[string]func(string) string{"Clean": Clean, "CleanBlock": CleanBlock} {
			got := clean(text)
			if !utf8.ValidString(got) {
				t.Errorf("%s: got %q, which is not UTF-8", name, got)
			}
			for _, r := range got {
				kept := name == "CleanBlock" && strings.ContainsRune("\n\t\u200c\u200d", r)
				if !kept && (!unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Bidi_Control, r)) {
					t.Errorf("%s: got %U in %q", name, r, got)
				}
			}
			if again := clean(got); again != got {
				t.Errorf("%s: got %q the second time, want %q", name, again, got)
			}
			if n := utf8.RuneCountInString(got); n > len([]rune(text)) {
				t.Errorf("%s: got %d characters of %q, want no more than there were", name, n, text)
			}
		}
		if plain := strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789 .,-") == ""; plain && Clean(text) != text {
			t.Errorf("got %q of plain %q, want it untouched", Clean(text), text)
		}
		for _, line := range Wrap(CleanBlock(text), 20) {
			if Width(line) > 20 && !strings.HasPrefix(line, " ") && len(strings.Fields(line)) > 1 {
				t.Errorf("got the line %q of %d columns, want at most 20 where words allow", line, Width(line))
			}
		}
		if fit := Fit(Clean(text), 10); Width(fit) > 10 {
			t.Errorf("got %q of %d columns, want at most 10", fit, Width(fit))
		}
	})
}

func TestWidth(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "abc": 3, "é": 1, "e\u0301": 1, "文書": 4, "🙂": 2, "✔ ok": 4, "한국": 4, "ＡＢ": 4, "→": 1} {
		if got := Width(text); got != want {
			t.Errorf("got %d for %q, want %d", got, text, want)
		}
	}
}

func TestFitAndPadAndShort(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ got, want string }{
		{Fit("short", 5), "short"}, {Fit("longer", 5), "long…"}, {Fit("文書係", 5), "文書…"}, {Fit("文書係", 4), "文…"}, {Fit("ab", 1), "…"},
		{Pad("ab", 4), "ab  "}, {Pad("文", 4), "文  "}, {Pad("long", 2), "long"},
		{Short("abcdef", 6), "abcdef"}, {Short("abcdefg", 6), "abcdef…"}, {Short("文書係", 2), "文書…"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	got := strings.Join(Wrap("one two three\nfour\n\nfive\n  code  stays as it is\nsix seven", 10), "|")
	if want := "one two|three four||five|  code  stays as it is|six seven"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Wrap("averyveryverylongword x", 5); len(got) != 2 || got[0] != "averyveryverylongword" {
		t.Errorf("got %q, want a long word on a line of its own", got)
	}
}

// coloured is a stream that shows colour.
func coloured(b *bytes.Buffer) Stream { return Stream{Writer: b, TTY: true, colour: true} }

func TestPaint(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	s := coloured(&b)
	if got, want := s.Paint(Red, "x\x1b[0m"), "\x1b[31mx�[0m\x1b[0m"; got != want {
		t.Errorf("got %q, want %q: painted after it is made safe", got, want)
	}
	if got := s.Paint(Red, ""); got != "" {
		t.Errorf("got %q, want nothing of nothing", got)
	}
	for _, plain := range []Stream{NewStream(&b, false), s.Plainly()} {
		if got := plain.Paint(Red, "x"); got != "x" {
			t.Errorf("got %q where no colour is shown, want x", got)
		}
	}
}

// TestFilesAreNoTerminals: colour never gets into a file or a pipe.
func TestFilesAreNoTerminals(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }() // nothing was written
	if s := NewStream(w, false); s.TTY || s.colour {
		t.Error("got a pipe taken for a terminal")
	}
}

// TestLines writes one of each.
func TestLines(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	s := NewStream(&b, false)
	s.OK("done", "in 3s")
	s.OK("done\n", "")
	s.Off("not there")
	s.Warn("careful\x07")
	s.Hint("do this")
	s.Section("title")
	s.Heading("title", "3 of them")
	s.Empty("nothing")
	s.Pairs([2]string{"name", "value"}, [2]string{"left out", ""}, [2]string{"文書", "\x1b"})
	s.Rows([2]string{"a", "first"}, [2]string{"文書", "second"}, [2]string{"c", ""})
	s.Block("  ", "one\r\n\x1btwo\n\n")
	s.Plain("plain %d", 1)
	s.Line("%s", "trailing   ")
	want := `  ✔ done (in 3s)
  ✔ done�
  ○ not there
  ⚠ careful�
  → do this

  — title


  — title · 3 of them

  (nothing)
  name  value
  文書  �
  a     first
  文書  second
  c
    one
    �two
plain 1
  trailing
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
