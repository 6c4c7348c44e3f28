package seal

import (
	"errors"
	"testing"
)

// lowOrder are the u-coordinates for which every secret gives the shared secret zero.
var lowOrder = []string{
	"00" + zz30 + "00",
	"01" + zz30 + "00",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ec" + ff30 + "7f", // p - 1
	"ed" + ff30 + "7f", // p
	"ee" + ff30 + "7f", // p + 1
	"00" + zz30 + "80", // zero with the ignored bit
}

func TestThreat6LowOrderX25519IsRefused(t *testing.T) {
	t.Parallel()
	for _, s := range lowOrder {
		k := X25519Public(unhex(t, s))
		if _, err := ParseX25519Public(k.String()); !errors.Is(err, ErrWeakKey) {
			t.Errorf("ParseX25519Public of %s: got %v, want %v", s, err, ErrWeakKey)
		}
		if _, err := NewX25519Secret().shared(k); !errors.Is(err, ErrWeakKey) {
			t.Errorf("shared key with %s: got %v, want %v", s, err, ErrWeakKey)
		}
		if _, err := SealAnonymous(k, []byte("x")); !errors.Is(err, ErrWeakKey) {
			t.Errorf("SealAnonymous to %s: got %v, want %v", s, err, ErrWeakKey)
		}
	}
}

func TestParseX25519Public(t *testing.T) {
	t.Parallel()
	want := NewX25519Secret().Public()
	if got := must(ParseX25519Public(want.String()))(t); got != want {
		t.Errorf("parsed again: got %s, want %s", got, want)
	}
	for name, s := range map[string]string{
		"nothing":    "",
		"31 bytes":   Base64URL(want[:31]),
		"33 bytes":   Base64URL(append(want[:], 0)),
		"padded":     want.String() + "=",
		"stray bits": want.String()[:42] + "_",
		"hex":        testKeys(t)["owner"].Public().String(),
		"line break": want.String() + "\n",
	} {
		if _, err := ParseX25519Public(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want %v", name, err, ErrMalformed)
		}
	}
}

func TestZeroX25519SecretIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := (X25519Secret{}).shared(NewX25519Secret().Public()); !errors.Is(err, ErrMalformed) {
		t.Errorf("shared key of no secret: got %v, want %v", err, ErrMalformed)
	}
}
