package wire

import (
	"bytes"
	"errors"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxDepth bounds nesting; deeper input costs time and means nothing here (design A4).
const maxDepth = 32

// strict makes an unknown name an error, sorted writes maps in order, and halves takes bad UTF-8. They are made once: options
// allocate.
var (
	strict = json.RejectUnknownMembers(true)
	halves = jsontext.AllowInvalidUTF8(true)
	sorted = json.Deterministic(true)
)

// Decode reads one JSON value strictly into v, a pointer to a zero value (design A4): duplicate names, names that
// differ from a known one only in case, trailing data, bad UTF-8 and nesting over 32 are invalid_json. Unknown names
// are ignored. The sentence of the error never repeats the input.
func Decode(data []byte, v any) error {
	if q, ok := v.(QuickReader); ok && !tooDeep(data) {
		if decodeQuick(data, q) {
			return nil
		}
		reflect.ValueOf(v).Elem().SetZero() // it may have read a part
	}
	err := decode(data, v)
	if errors.Is(err, json.ErrUnknownName) {
		reflect.ValueOf(v).Elem().SetZero() // the first attempt filled a part
		if err = checkCase(data, reflect.TypeOf(v)); err == nil {
			err = json.Unmarshal(data, v)
		}
	}
	return refuse(err)
}

// DecodeCut is Decode for what a host says of texts that it may have cut: half of a character is no reason to hear nothing, and
// is read as U+FFFD.
func DecodeCut(data []byte, v any) error {
	if tooDeep(data) {
		return refuse(errDepth)
	}
	return refuse(json.Unmarshal(data, v, halves))
}

// DecodeKnown is Decode for files of our own: unknown names are refused too.
func DecodeKnown(data []byte, v any) error { return refuse(decode(data, v)) }

func decode(data []byte, v any) error {
	if tooDeep(data) {
		return errDepth
	}
	if reflect.TypeOf(v).Elem().Kind() == reflect.Struct && !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return errNoObject
	}
	return json.Unmarshal(data, v, strict)
}

var (
	errDepth    = errors.New("more than 32 levels of nesting")
	errNoObject = errors.New("not a JSON object")
)

// refuse makes invalid_json of a decoding error: where it is, not what stands there.
func refuse(err error) error {
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, json.ErrUnknownName):
		return mesh.Errorf(mesh.BadJSON, "a name is not known here")
	case errors.As(err, &semantic):
		return mesh.Errorf(mesh.BadJSON, "the value at byte %d is of the wrong kind", semantic.ByteOffset)
	case errors.As(err, &syntactic):
		return mesh.Errorf(mesh.BadJSON, "not valid JSON at byte %d", syntactic.ByteOffset)
	}
	return mesh.Errorf(mesh.BadJSON, "%w", err)
}

// Encode writes v on one line. Nil slices are [], maps are sorted, nothing is escaped for HTML.
func Encode(v any) ([]byte, error) {
	if q, ok := v.(QuickWriter); ok {
		return encodeQuick(q)
	}
	data, err := json.Marshal(v, sorted)
	if err != nil {
		return nil, mesh.Errorf(mesh.Internal, "encode %T: %w", v, err)
	}
	return data, nil
}

// EncodeIndent writes v on several lines, two spaces a level, for people and files.
func EncodeIndent(v any) ([]byte, error) {
	data, err := json.Marshal(v, sorted, jsontext.WithIndent("  "))
	if err != nil {
		return nil, mesh.Errorf(mesh.Internal, "encode %T: %w", v, err)
	}
	return data, nil
}

// tooDeep reports nesting over maxDepth. Few brackets in all settle it without looking at strings.
func tooDeep(data []byte) bool {
	if bytes.Count(data, []byte("{"))+bytes.Count(data, []byte("[")) <= maxDepth {
		return false
	}
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// RawMessage is JSON text that is passed on unread.
type RawMessage = jsontext.Value
