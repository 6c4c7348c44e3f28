package seal

import (
	"errors"
	"testing"
)

func TestParseBase64IsStrict(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"no padding": "QUI", "stray bits": "QUJ=", "line break": "QU\nI=", "trailing line break": "QUI=\n",
		"carriage return": "QUI=\r\n", "URL alphabet": "-_-_", "space": "QU I=", "padding alone": "====", "twice": "QUI=QUI=",
	} {
		if got, err := ParseBase64(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %q and %v, want %v", name, got, err, ErrMalformed)
		}
	}
	if got, err := ParseBase64("QUI="); err != nil || string(got) != "AB" {
		t.Errorf("ParseBase64: got %q and %v, want AB", got, err)
	}
}

func TestParseBase64URLIsStrict(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"padding": "QUI=", "stray bits": "QUJ", "line break": "QU\nI", "standard alphabet": "+/+/", "one character": "Q",
	} {
		if got, err := ParseBase64URL(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %q and %v, want %v", name, got, err, ErrMalformed)
		}
	}
	if got, err := ParseBase64URL("QUI"); err != nil || string(got) != "AB" {
		t.Errorf("ParseBase64URL: got %q and %v, want AB", got, err)
	}
}
