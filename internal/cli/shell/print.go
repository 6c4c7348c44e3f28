package shell

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

// Header is embedded first in every JSON view that is an object.
type Header struct {
	SchemaVersion string `json:"schema_version"`
}

// NewHeader is the header of every view.
func NewHeader() Header { return Header{schemaVersion} }

// OKView is the JSON of a verb that only succeeds.
type OKView struct {
	Header
	OK bool `json:"ok"`
}

// Print writes the answer in one piece: v as JSON where that was asked for, else what human writes.
func (a *App) Print(v any, human func(term.Stream)) error {
	var text bytes.Buffer
	if !a.Flags.JSON.On {
		human(a.Out.To(&text))
	} else {
		data, err := wire.EncodeIndent(v)
		if err == nil {
			data, err = a.Flags.JSON.Apply(data)
		}
		if err != nil {
			return err
		}
		text.Write(projection.Escape(data))
		text.WriteByte('\n')
	}
	if _, err := a.Out.Write(text.Bytes()); err != nil {
		return mesh.Errorf(mesh.IOError, "write the answer: %w", err)
	}
	return nil
}

// PrintLine writes one record of many: as JSON on one line where that was asked for, else what human writes.
func (a *App) PrintLine(v any, human func(term.Stream)) error {
	var text bytes.Buffer
	if !a.Flags.JSON.On {
		human(a.Out.To(&text))
	} else {
		data, err := wire.Encode(v)
		if err == nil {
			data, err = a.Flags.JSON.Apply(data)
		}
		line := wire.RawMessage(data)
		if err == nil {
			err = line.Compact()
		}
		if err != nil {
			return err
		}
		text.Write(projection.Escape(line))
		text.WriteByte('\n')
	}
	if _, err := a.Out.Write(text.Bytes()); err != nil {
		return mesh.Errorf(mesh.IOError, "write the answer: %w", err)
	}
	return nil
}

// Several writes one view for each mesh: as JSON an object where it is one, else an array.
func Several[T any](a *App, views []T, human func(term.Stream)) error {
	if len(views) == 1 {
		return a.Print(headed[T]{NewHeader(), views[0]}, human)
	}
	return a.Print(views, human)
}

// headed is a view with its header.
type headed[T any] struct {
	Header
	View T `json:",embed"`
}

// PrintOK writes the answer of a verb that only succeeds, with a dim detail, which may be empty.
func (a *App) PrintOK(message, detail string) error {
	return a.Print(OKView{NewHeader(), true}, func(s term.Stream) { s.OK(message, detail) })
}

// Facts puts dots between what is not empty.
func Facts(facts ...string) string {
	return strings.Join(slices.DeleteFunc(facts, func(f string) bool { return f == "" }), " · ")
}

// Deref gives the text behind a pointer, or nothing.
func Deref[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}

// Prefixed is text with a word before it, or nothing.
func Prefixed(word, text string) string {
	if text == "" {
		return ""
	}
	return word + text
}

// Count is a number with the word for what is counted.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Ago says how far an ISO time is from now, in the largest unit that fits; a text that is no time stays as it is.
func Ago(now time.Time, text string) string {
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
		return "in " + Span(-d)
	}
	return Span(d) + " ago"
}

// Span is a length of time in one unit.
func Span(d time.Duration) string {
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
