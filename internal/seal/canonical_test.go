package seal

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ raw, want string }{
		{` [ 1.0 , 1e21 , 1e-7 , -0 , -0.0 , 100 ] `, `[1,1e+21,1e-7,0,0,100]`},
		{`[1e20,123456789012345680000,1E-6,0.000001,5e-324,1e-400]`, `[100000000000000000000,123456789012345680000,0.000001,0.000001,5e-324,0]`},
		{`[9007199254740993]`, `[9007199254740992]`},
		{`{"b":1,"a":{"d":[],"c":{}}}`, `{"a":{"c":{},"d":[]},"b":1}`},
		{`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`,
			"{\"\\r\":2,\"1\":4,\"\u0080\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\ufb33\":3}"},
		{`"\u0041\/\u000a\u0007"`, `"A/\n\u0007"`},
		{`null`, `null`},
		{strings.Repeat("[", 32) + strings.Repeat("]", 32), strings.Repeat("[", 32) + strings.Repeat("]", 32)},
	} {
		if diff := cmp.Diff(c.want, string(must(Canonical([]byte(c.raw)))(t))); diff != "" {
			t.Errorf("Canonical(%s): want -, got +\n%s", c.raw, diff)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"nothing":         ``,
		"spaces":          `  `,
		"two values":      `1 2`,
		"trailing data":   `{} x`,
		"duplicate names": `{"a":1,"\u0061":2}`,
		"invalid UTF-8":   "\"\xff\"",
		"lone surrogate":  `"\ud800"`,
		"too large":       `[1e400]`,
		"leading zero":    `01`,
		"not a number":    `NaN`,
		"depth 33":        strings.Repeat("[", 33) + strings.Repeat("]", 33),
		"never closed":    strings.Repeat(`{"a":`, 100000),
	} {
		if got, err := Canonical([]byte(raw)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %q and %v, want %v", name, got, err, ErrMalformed)
		}
	}
}

func TestCanonicalKeepsItsInput(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"b":1.0, "a":2}`)
	before := bytes.Clone(raw)
	must(Canonical(raw))(t)
	if !bytes.Equal(raw, before) {
		t.Errorf("input after Canonical: got %s, want %s", raw, before)
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{"z":1,"a":{"y":[3,1,2],"b":null}}`, `"\ud83d\ude00\u2028"`, `[1e21,-0,1e400]`, `{"":{}}`, `[[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		text, err := Canonical(raw)
		if err != nil {
			return
		}
		again, err := Canonical(text)
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("second pass: got %q and %v, want %q", again, err, text)
		}
		var before, after any
		if json.Unmarshal(raw, &before) != nil || json.Unmarshal(text, &after) != nil {
			t.Fatalf("%q became unreadable as %q", raw, text)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("%q changed its meaning: before -, after +\n%s", raw, diff)
		}
	})
}
