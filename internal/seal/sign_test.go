package seal

import (
	"errors"
	"strings"
	"testing"
)

func TestParseSignature(t *testing.T) {
	t.Parallel()
	key := testKeys(t)["owner"]
	want := must(key.sign(key.Public(), []byte("text")))(t)
	if got := must(ParseSignature(want.String()))(t); got != want {
		t.Errorf("parsed again: got %s, want %s", got, want)
	}
	for name, s := range map[string]string{
		"nothing": "", "63 bytes": want.String()[2:], "65 bytes": want.String() + "00",
		"upper case": strings.ToUpper(want.String()), "no hex": "x" + want.String()[1:],
	} {
		if _, err := ParseSignature(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want %v", name, err, ErrMalformed)
		}
	}
}

func TestVerifyNeedsEveryBit(t *testing.T) {
	t.Parallel()
	key := testKeys(t)["owner"]
	sig := must(key.sign(key.Public(), []byte("text")))(t)
	if err := key.Public().verify([]byte("text"), sig); err != nil {
		t.Fatalf("verify: got %v, want none", err)
	}
	for i := range sig {
		bad := sig
		bad[i] ^= 0x40
		if err := key.Public().verify([]byte("text"), bad); !errors.Is(err, ErrSignature) {
			t.Errorf("byte %d changed: got %v, want %v", i, err, ErrSignature)
		}
	}
}

func TestPrefixedText(t *testing.T) {
	t.Parallel()
	const want = "domain\n\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x00\x01\x00" + "FIELD"
	got := string(prefixedText("domain", "ab", "", strings.Repeat("x", 256)))
	if got != strings.Replace(want, "FIELD", strings.Repeat("x", 256), 1) {
		t.Errorf("text: got %q", got)
	}
}
