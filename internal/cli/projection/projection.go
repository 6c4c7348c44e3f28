// Package projection is the flag --json: whether an answer is JSON, which of its fields are kept, and how it is written
// so that a terminal takes it for nothing but text.
package projection

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/claudemesh/claudemesh/internal/wire"
)

// Fields is the value of --json: off, everything, or the fields that are kept.
type Fields struct {
	On    bool
	names []string
}

// Set reads a list of names; true and false are those of scripts that take the flag for a switch (pflag.Value).
func (f *Fields) Set(text string) error {
	switch text {
	case "true":
		*f = Fields{On: true}
		return nil
	case "false":
		*f = Fields{}
		return nil
	}
	*f = Fields{On: true}
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if !isField(name) {
			return errors.New("a list of field names is wanted, such as name,status")
		}
		if !slices.Contains(f.names, name) {
			f.names = append(f.names, name)
		}
	}
	return nil
}

// String is the value as Set reads it (pflag.Value).
func (f *Fields) String() string {
	if len(f.names) > 0 {
		return strings.Join(f.names, ",")
	}
	return fmt.Sprint(f.On)
}

// Type names the value in help pages (pflag.Value).
func (f *Fields) Type() string { return "fields" }

// isField reports whether s can be the name of a field.
func isField(s string) bool {
	for _, c := range []byte(s) {
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && c != '_' {
			return false
		}
	}
	return s != ""
}

// Apply keeps the asked-for fields of each record, in the order asked for and under the spelling asked for. Records are
// the elements of a top-level array or of a list inside an object (`peers`, `items`), else the object itself, which keeps
// its schema_version (cli 7.3, design A4).
func (f *Fields) Apply(data []byte) ([]byte, error) {
	if len(f.names) == 0 {
		return data, nil
	}
	value, err := pick(data, f.names, true)
	if err != nil {
		return nil, err
	}
	return wire.EncodeIndent(value)
}

func pick(data wire.RawMessage, names []string, top bool) (wire.RawMessage, error) {
	if data.Kind() == '[' {
		return pickEach(data, names)
	}
	var object map[string]wire.RawMessage
	if data.Kind() != '{' {
		return data, nil
	}
	if err := wire.Decode(data, &object); err != nil {
		return nil, err
	}
	for _, list := range []string{"peers", "items"} {
		if inner, ok := object[list]; ok && inner.Kind() == '[' {
			picked, err := pickEach(inner, names)
			if err != nil {
				return nil, err
			}
			object[list] = picked
			return wire.Encode(ordered(object, []string{"schema_version", "mesh", list}))
		}
	}
	if top {
		rest := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "schema_version" })
		names = append([]string{"schema_version"}, rest...)
	}
	return wire.Encode(ordered(object, names))
}

func pickEach(data wire.RawMessage, names []string) (wire.RawMessage, error) {
	var list []wire.RawMessage
	if err := wire.Decode(data, &list); err != nil {
		return nil, err
	}
	for i := range list {
		var err error
		if list[i], err = pick(list[i], names, false); err != nil {
			return nil, err
		}
	}
	return wire.Encode(list)
}

// ordered is an object with the named fields in that order; a map would lose it. Names that it has not are left out.
func ordered(object map[string]wire.RawMessage, names []string) wire.RawMessage {
	out := wire.RawMessage{'{'}
	for _, name := range names {
		value, ok := object[name]
		if !ok && name == "name" {
			value, ok = object["displayName"] // the old spelling (cli 7.3)
		}
		if !ok {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = append(out, name...) // a field name needs no escapes
		out = append(out, '"', ':')
		out = append(out, value...)
	}
	return append(out, '}')
}

// Escape writes what a terminal could take for something else than text as \u escapes, which mean the same in JSON.
func Escape(data []byte) []byte {
	harmless := func(r rune) bool { return r < 0x7F || unicode.IsGraphic(r) && r != '\u2028' && r != '\u2029' }
	if bytes.IndexFunc(data, func(r rune) bool { return !harmless(r) }) < 0 {
		return data
	}
	var b bytes.Buffer
	for _, r := range string(data) {
		switch {
		case harmless(r):
			b.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}
