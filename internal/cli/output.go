package cli

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli/projection"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// schemaVersion stands first in every top-level object of the CLI's JSON (design A4).
const schemaVersion = "1.0"

// header is embedded first in every JSON view that is an object.
type header struct {
	SchemaVersion string `json:"schema_version"`
}

func newHeader() header { return header{schemaVersion} }

// okView is the JSON of a verb that only succeeds.
type okView struct {
	header
	OK bool `json:"ok"`
}

// print writes the answer in one piece: v as JSON where that was asked for, else what human writes.
func (a *app) print(v any, human func(term.Stream)) error {
	var text bytes.Buffer
	if !a.global.json.On {
		human(a.out.To(&text))
	} else {
		data, err := wire.EncodeIndent(v)
		if err == nil {
			data, err = a.global.json.Apply(data)
		}
		if err != nil {
			return err
		}
		text.Write(projection.Escape(data))
		text.WriteByte('\n')
	}
	if _, err := a.out.Write(text.Bytes()); err != nil {
		return mesh.Errorf(mesh.IOError, "write the answer: %w", err)
	}
	return nil
}

// joinFacts puts dots between what is not empty.
func joinFacts(facts ...string) string {
	return strings.Join(slices.DeleteFunc(facts, func(f string) bool { return f == "" }), " · ")
}

// deref gives the text behind a pointer, or nothing.
func deref[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}

// count is a number with the word for what is counted.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// ago says how far an ISO time is from now, in the largest unit that fits; a text that is no time stays as it is.
func ago(now time.Time, text string) string {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return text
	}
	d := now.Sub(t)
	if d.Abs() < time.Minute {
		return "just now"
	}
	d = d.Round(time.Minute) // a week from a moment ago is a week
	if d < 0 {
		return "in " + unit(-d)
	}
	return unit(d) + " ago"
}

// unit is a length of time in one unit.
func unit(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
