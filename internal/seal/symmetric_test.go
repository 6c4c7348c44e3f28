package seal

import (
	"bytes"
	"errors"
	"testing"
)

func TestSymmetricKey(t *testing.T) {
	t.Parallel()
	key := NewSymmetricKey()
	if got := must(ParseSymmetricKey(key.Reveal()))(t); !bytes.Equal(got.Bytes(), key.Bytes()) {
		t.Error("the parsed key is another")
	}
	s := must(key.Seal([]byte("hola")))(t)
	if got, err := key.Open(s); err != nil || string(got) != "hola" {
		t.Errorf("opened: got %q and %v, want hola", got, err)
	}
	if _, err := NewSymmetricKey().Open(s); !errors.Is(err, ErrOpen) {
		t.Errorf("open with another key: got %v, want %v", err, ErrOpen)
	}
	key.Bytes()[0] ^= 1
	if _, err := key.Open(s); err != nil {
		t.Errorf("after a change to the copy: got %v, want none", err)
	}
	for _, text := range []string{"", key.Reveal()[1:], key.Reveal() + "A", key.Reveal() + "="} {
		if _, err := ParseSymmetricKey(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("ParseSymmetricKey(%q): got %v, want %v", text, err, ErrMalformed)
		}
	}
}

func TestZeroSymmetricKeyIsRefused(t *testing.T) {
	t.Parallel()
	var zero SymmetricKey
	if !zero.IsZero() || zero.Bytes() != nil || zero.Reveal() != "" {
		t.Errorf("zero key: got %x, want nothing", zero.Bytes())
	}
	if _, err := zero.Seal(nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("seal: got %v, want %v", err, ErrMalformed)
	}
	if _, err := zero.Open(Sealed{NewNonce().String(), Base64(make([]byte, 16))}); !errors.Is(err, ErrOpen) {
		t.Errorf("open: got %v, want %v", err, ErrOpen)
	}
}
