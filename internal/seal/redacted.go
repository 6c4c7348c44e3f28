package seal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// held keeps the bytes of a secret where no printer follows. In a field that is not exported fmt cannot call
// the methods of redacted; it prints a func as an address then, but for some verbs looks behind pointers.
type held[T any] func() *T

func hold[T any](secret *T) held[T] { return func() *T { return secret } }

// redacted is embedded by every secret, so that printing or logging one shows a label instead.
type redacted struct{ label string }

func redact(label string) redacted { return redacted{"[secret " + label + "]"} }

// String gives the label.
func (r redacted) String() string {
	if r.label == "" {
		return "[no secret]"
	}
	return r.label
}

// GoString gives the label.
func (r redacted) GoString() string { return r.String() }

// Format writes the label for every verb.
func (r redacted) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, r.String()) // fmt keeps the error of its writer
}

// LogValue gives the label.
func (r redacted) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText refuses: a secret reaches a file only by its Reveal.
func (r redacted) MarshalText() ([]byte, error) {
	return nil, errors.New("a secret is not marshalled")
}
