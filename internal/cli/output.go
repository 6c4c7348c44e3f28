package cli

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
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

// allFields is the value of a --json without a list.
const allFields = "*"

// print writes the answer: v as JSON where that was asked for, else what human writes.
func (a *app) print(v any, human func(term.Stream)) error {
	if a.global.json == "" {
		human(a.out)
		return nil
	}
	data, err := wire.EncodeIndent(v)
	if err != nil {
		return err
	}
	if a.global.json != allFields {
		if data, err = project(data, strings.Split(a.global.json, ",")); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(a.out, "%s\n", data)
	if err != nil {
		return mesh.Errorf(mesh.IOError, "write the answer: %w", err)
	}
	return nil
}

// errorView is the JSON of a verb that failed (design A3).
type errorView struct {
	header
	OK         bool                 `json:"ok"`
	Error      string               `json:"error"`
	Code       mesh.Code            `json:"code"`
	Hint       string               `json:"hint,omitzero"`
	State      mesh.State           `json:"state,omitzero"`
	Candidates []localapi.Candidate `json:"candidates,omitzero"`
	Attached   []string             `json:"attached,omitzero"`
}

func (a *app) printError(code mesh.Code, text string, err error) {
	v := errorView{header: newHeader(), Error: text, Code: code, Hint: code.Hint()}
	_, body := localapi.EncodeError(err)
	v.State, v.Candidates, v.Attached = body.State, body.Candidates, body.Attached
	data, encErr := wire.EncodeIndent(v)
	if encErr != nil {
		data = []byte(`{"schema_version":"1.0","ok":false,"error":"internal error","code":"internal"}`)
	}
	_, _ = fmt.Fprintf(a.out, "%s\n", data) // a closed pipe has nobody to tell
}

// writeError writes an error for people: what, who could be meant, what to do.
func writeError(s term.Stream, text string, err error) {
	s.Plain("claudemesh: %s", term.CleanBlock(text))
	var e *mesh.Error
	if errors.As(err, &e) {
		for _, c := range e.Details.Candidates {
			s.Line("%s", s.Paint(term.Dim, c.Name+" · "+c.Key.Short()+" · "+c.Mesh+" · "+onlineWord(c.Online)))
		}
		if len(e.Details.Attached) > 0 {
			s.Line("%s", s.Paint(term.Dim, "joined: "+strings.Join(e.Details.Attached, ", ")))
		}
	}
	if hint := mesh.CodeOf(err).Hint(); hint != "" {
		s.Plain("hint: %s", hint)
	}
}

func onlineWord(online bool) string {
	if online {
		return "online"
	}
	return "offline"
}

// fieldAlias maps spellings of --json=… to the names of the records (cli 7.3).
var fieldAlias = map[string]string{"name": "displayName"}

// project keeps the asked-for fields of each record, in the order asked for and under the spelling asked for.
// Records are the elements of a top-level array, of the `peers` of its elements, or the object itself.
func project(data []byte, fields []string) ([]byte, error) {
	var v any
	if err := wire.Decode(data, &v); err != nil {
		return nil, err
	}
	return wire.EncodeIndent(pick(v, fields))
}

func pick(v any, fields []string) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = pick(v[i], fields)
		}
		return out
	case map[string]any:
		if inner, ok := v["peers"].([]any); ok && v["mesh"] != nil {
			return map[string]any{"mesh": v["mesh"], "peers": pick(inner, fields)}
		}
		return record(v, fields)
	}
	return v
}

// record makes one projected object; a map would lose the order.
func record(v map[string]any, fields []string) any {
	var b strings.Builder
	b.WriteByte('{')
	for _, f := range fields {
		f = strings.TrimSpace(f)
		value, ok := v[f]
		if !ok {
			value, ok = v[fieldAlias[f]]
		}
		if !ok {
			continue
		}
		text, err := wire.Encode(value)
		name, nameErr := wire.Encode(f)
		if err != nil || nameErr != nil {
			continue // decoded a moment ago: cannot happen
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(text)
	}
	b.WriteByte('}')
	return jsontext.Value(b.String())
}

// fieldList reports whether s can be the list of a spaced `--json a,b`.
func fieldList(s string) bool {
	if s == "" {
		return false
	}
	for _, c := range []byte(s) {
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && c != ',' && c != '_' {
			return false
		}
	}
	return true
}

// deref gives the text behind a pointer, or nothing.
func deref[T ~string](p *T) string {
	if p == nil || reflect.ValueOf(p).IsNil() {
		return ""
	}
	return string(*p)
}
