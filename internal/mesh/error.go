package mesh

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Error is the one error of the product: a code from the table, and a sentence for people with its cause.
type Error struct {
	Code    Code
	Details Details
	Err     error
}

// Details carry what a caller needs to act on an error. Zero fields are left out at every border.
type Details struct {
	Candidates []Candidate // ambiguous_target: who could be meant; target_not_found: who is online
	Attached   []string    // mesh_required: slugs to choose from
	LimitBytes int64       // payload_too_large
	State      State       // wait_timeout: how far the message has come
	Missing    []string    // wait_timeout: recipients who are not so far
	Conflict   string      // idempotency_key_reused: which row and how (daemon 11.4)
	Prefix     string      // idempotency_key_reused: first 16 hex of the incoming fingerprint
	BrokerID   ID          // idempotency_key_reused: the id the broker gave the first message
}

// Candidate is one peer that an ambiguous address could mean, or could have meant.
type Candidate struct {
	Name   string
	Key    Key
	Mesh   string
	Online bool
}

// Errorf makes an error of a code with a sentence. A %w keeps its cause reachable.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// Error gives the sentence with its cause, for logs and people.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// With returns e with details.
func (e *Error) With(d Details) *Error {
	e.Details = d
	return e
}

// CodeOf gives the code of err: its own, `timeout` for a deadline, `cancelled` for a cancelled context,
// else internal, whose text is for the operator and not for the user.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Cancelled
	}
	return Internal
}

// IsCode reports whether err carries code.
func IsCode(err error, code Code) bool { return err != nil && CodeOf(err) == code }

// permanentWords are the words by which TypeScript daemons decide that a refusal is final (wire TRAP G).
var permanentWords = []string{"payload_too_large", "forbidden", "not_found", "invalid", "schema", "auth", "signature", "unknown", "not_authorized"}

// AckText is the `error` of an ack: code first; a permanent refusal ends in "(invalid)" so that every
// TypeScript daemon gives up, a retryable one has no word that would make it give up (design A3).
func AckText(err error) string {
	code := CodeOf(err)
	text := string(code) + ": " + PublicText(err)
	if !code.Retryable() {
		return text + " (invalid)"
	}
	lower := strings.ToLower(text)
	for _, word := range permanentWords {
		if strings.Contains(lower, word) {
			return string(code) + ": try again later"
		}
	}
	return text
}

// PublicText is what a user may read of err, in valid UTF-8. Internal errors say nothing of their cause.
func PublicText(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Code != Internal {
		return strings.ToValidUTF8(e.Error(), "\uFFFD")
	}
	switch CodeOf(err) {
	case Timeout:
		return "it took too long"
	case Cancelled:
		return "cancelled"
	}
	return "internal error"
}
