package localapi

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// over sends an error as the daemon does, and reads it as a client does.
func over(t *testing.T, err error) (int, ErrorBody, *mesh.Error) {
	t.Helper()
	status, body := EncodeError(err)
	data, encErr := wire.Encode(body)
	if encErr != nil {
		t.Fatalf("encode the refusal of %v: %v", err, encErr)
	}
	var got *mesh.Error
	if !errors.As(DecodeError(Response{status, data}), &got) {
		t.Fatalf("%s is no error of ours", data)
	}
	return status, body, got
}

func TestErrorsTravelWithTheirDetails(t *testing.T) {
	t.Parallel()
	for _, details := range []mesh.Details{
		{},
		{Candidates: []mesh.Candidate{{Name: "ann", Key: "aa", Mesh: "team", Online: true}, {Name: "ann", Key: "bb", Mesh: "home"}}},
		{Attached: []string{"home", "team"}},
		{LimitBytes: 1 << 40},
		{State: mesh.StateAccepted, Missing: []string{"ann", "ben"}},
		{Conflict: "outbox_done_fingerprint_mismatch", Prefix: "0123456789abcdef", BrokerID: "M"},
	} {
		sent := mesh.Errorf(mesh.AmbiguousTarget, "two of them").With(details)
		_, _, got := over(t, fmt.Errorf("resolve: %w", sent))
		if diff := cmp.Diff(details, got.Details); diff != "" {
			t.Errorf("-sent +received\n%s", diff)
		}
		if got.Code != mesh.AmbiguousTarget || got.Error() != "two of them" {
			t.Errorf("got %s: %v, want the code and the sentence", got.Code, got)
		}
	}
}

func TestEveryCodeTravels(t *testing.T) {
	t.Parallel()
	for _, row := range mesh.Codes {
		status, body, got := over(t, mesh.Errorf(row.Code, "why"))
		if status != row.Status || got.Code != row.Code || body.Code != row.Code || body.Hint != row.Hint {
			t.Errorf("%s: got status %d, %+v, then %s", row.Code, status, body, got.Code)
		}
		wantText, wantError := "why", string(row.Code)
		switch row.Code {
		case mesh.Internal:
			wantText = "internal error"
		case mesh.TargetNotFound, mesh.AmbiguousTarget:
			wantError = "route_failed"
		}
		if got.Error() != wantText || body.Error != wantError {
			t.Errorf("%s: got %q under %q, want %q under %q", row.Code, got, body.Error, wantText, wantError)
		}
	}
}

func TestForeignErrorsTravel(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		code mesh.Code
		text string
	}{
		{errors.New("a path of the operator"), mesh.Internal, "internal error"},
		{fmt.Errorf("ask: %w", context.DeadlineExceeded), mesh.Timeout, "it took too long"},
		{context.Canceled, mesh.Cancelled, "cancelled"},
		{mesh.Errorf(mesh.BadRequest, "no %s", "\xff"), mesh.BadRequest, "no \uFFFD"},
		{mesh.Errorf(mesh.BadRequest, ""), mesh.BadRequest, "bad_request"},
	} {
		if _, _, got := over(t, tt.err); got.Code != tt.code || got.Error() != tt.text {
			t.Errorf("%v: got %s: %q, want %s: %q", tt.err, got.Code, got, tt.code, tt.text)
		}
	}
}

func TestAnswersThatAreNoneOfOurs(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `<html>`, `{"error":"missing bearer token"}`, `{"error":"x","code":"of_next_year"}`, `[]`, `{"code":5}`} {
		err := DecodeError(Response{401, []byte(body)})
		if !mesh.IsCode(err, mesh.Internal) || err.Error() != "the daemon answered 401 Unauthorized" {
			t.Errorf("%s: got %v, want an internal error with the status", body, err)
		}
	}
}
