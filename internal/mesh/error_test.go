package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestErrorsCarryTheirCode(t *testing.T) {
	t.Parallel()
	own := Errorf(NotFound, "find it: %w", io.EOF)
	tests := []struct {
		name string
		err  error
		code Code
		text string // for users
	}{
		{"own", own, NotFound, "find it: EOF"},
		{"wrapped", fmt.Errorf("outer: %w", own), NotFound, "find it: EOF"},
		{"joined", errors.Join(io.EOF, own), NotFound, "find it: EOF"},
		{"own internal", Errorf(Internal, "a path of the operator"), Internal, "internal error"},
		{"foreign", io.EOF, Internal, "internal error"},
		{"deadline", fmt.Errorf("ask: %w", context.DeadlineExceeded), Timeout, "it took too long"},
		{"cancelled", fmt.Errorf("ask: %w", context.Canceled), Cancelled, "cancelled"},
		{"own over a deadline", Errorf(BrokerDown, "ask: %w", context.DeadlineExceeded), BrokerDown, "ask: context deadline exceeded"},
		{"not UTF-8", Errorf(BadName, "no %s", "\xff\xfe"), BadName, "no \uFFFD"},
	}
	for _, tt := range tests {
		if got := CodeOf(tt.err); got != tt.code || !IsCode(tt.err, tt.code) || IsCode(tt.err, "other") {
			t.Errorf("%s: got code %s, want %s", tt.name, got, tt.code)
		}
		if got := PublicText(tt.err); got != tt.text {
			t.Errorf("%s: got text %q, want %q", tt.name, got, tt.text)
		}
	}
	if CodeOf(nil) != "" || IsCode(nil, "") || IsCode(nil, Internal) {
		t.Error("nil has a code, want none")
	}
	if !errors.Is(own, io.EOF) || own.Error() != "find it: EOF" {
		t.Errorf("got %v, want the sentence, and the cause within reach", own)
	}
}

func TestWithDetails(t *testing.T) {
	t.Parallel()
	want := Details{LimitBytes: 5, State: StateAccepted}
	var got *Error
	if err := fmt.Errorf("outer: %w", Errorf(WaitTimeout, "late").With(want)); !errors.As(err, &got) {
		t.Fatal("the error is lost")
	}
	if diff := cmp.Diff(want, got.Details); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
