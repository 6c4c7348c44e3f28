package splice

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tailscale/hujson"
)

// ErrShape says that a value on the way to the one that is meant is of another kind, or is there twice.
var ErrShape = errors.New("the file is not laid out as expected")

// JSON returns the value at a path of member names in a JSON text that may have comments and trailing commas, without
// those; false when it is not there. An empty text is an empty object.
func JSON(text []byte, path ...string) (value []byte, ok bool, err error) {
	root, err := parse(text)
	if err != nil {
		return nil, false, err
	}
	v, rest, err := walk(root, path)
	if err != nil || len(rest) > 0 {
		return nil, false, err
	}
	return plain(*v), true, nil
}

// SetJSON puts a value, which is JSON, at a path, and makes the objects on the way. A value that is there and means the same
// stays as it is written.
func SetJSON(text []byte, value string, path ...string) ([]byte, error) {
	if len(bytes.Trim(text, blanks)) == 0 {
		text = []byte("{}" + lineEnd(text))
	}
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	v, rest, err := walk(root, path)
	switch {
	case err != nil:
		return nil, err
	case len(rest) == 0 && same(plain(*v), []byte(value)):
		return text, nil
	case len(rest) == 0:
		s := styleOf(root, text)
		return apply(text, cut{v.StartOffset, v.EndOffset, s.render(value, indentOf(text, v.StartOffset), s.spread)}), nil
	}
	obj, ok := v.Value.(*hujson.Object)
	if !ok {
		return nil, fmt.Errorf("%w: %s is no object", ErrShape, name(path[:len(path)-len(rest)]))
	}
	for i := len(rest) - 1; i > 0; i-- {
		value = "{" + quote(rest[i]) + ":" + value + "}"
	}
	return insert(text, root, objectAt(v, obj), quote(rest[0]), value)
}

// AppendJSON adds a value to the end of the array at a path, which is made when it is not there.
func AppendJSON(text []byte, value string, path ...string) ([]byte, error) {
	_, there, err := JSON(text, path...)
	if err != nil {
		return nil, err
	}
	if !there {
		return SetJSON(text, "["+value+"]", path...)
	}
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	v, _, err := walk(root, path)
	if err != nil {
		return nil, err
	}
	arr, ok := v.Value.(*hujson.Array)
	if !ok {
		return nil, fmt.Errorf("%w: %s is no array", ErrShape, name(path))
	}
	return insert(text, root, arrayAt(v, arr), "", value)
}

// DeleteJSON takes out the member at a path; a text without it comes back as it is.
func DeleteJSON(text []byte, path ...string) ([]byte, error) {
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	v, rest, err := walk(root, path[:len(path)-1])
	if err != nil || len(rest) > 0 {
		return text, err
	}
	obj, ok := v.Value.(*hujson.Object)
	if !ok {
		return text, nil
	}
	i, err := find(obj, path[len(path)-1])
	if err != nil || i < 0 {
		return text, err
	}
	return remove(text, objectAt(v, obj), i), nil
}

// DeleteElements takes those elements out of the array at a path that match says; match gets them as plain JSON.
func DeleteElements(text []byte, match func(element []byte) bool, path ...string) ([]byte, error) {
	for {
		root, err := parse(text)
		if err != nil {
			return nil, err
		}
		v, rest, err := walk(root, path)
		if err != nil || len(rest) > 0 {
			return text, err
		}
		arr, ok := v.Value.(*hujson.Array)
		if !ok {
			return text, nil
		}
		i := 0
		for i < len(arr.Elements) && !match(plain(arr.Elements[i])) {
			i++
		}
		if i == len(arr.Elements) {
			return text, nil
		}
		text = remove(text, arrayAt(v, arr), i)
	}
}

func parse(text []byte) (*hujson.Value, error) {
	body := bytes.TrimPrefix(text, []byte("\ufeff"))
	if len(body) != len(text) {
		return nil, fmt.Errorf("%w: it begins with a byte order mark", ErrShape)
	}
	if len(bytes.Trim(text, blanks)) == 0 {
		text = []byte("{}")
	}
	v, err := hujson.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return &v, nil
}

// walk goes down a path as far as there are members; rest is what is not there.
func walk(v *hujson.Value, path []string) (at *hujson.Value, rest []string, err error) {
	for i, name := range path {
		obj, ok := v.Value.(*hujson.Object)
		if !ok {
			return nil, nil, fmt.Errorf("%w: %s is no object", ErrShape, strings.Join(path[:i], "."))
		}
		n, err := find(obj, name)
		if err != nil {
			return nil, nil, err
		}
		if n < 0 {
			return v, path[i:], nil
		}
		v = &obj.Members[n].Value
	}
	return v, nil, nil
}

// find is the index of a member, -1 when it is not there. One that is there twice is an error: who reads the file decides
// which counts, and we do not know it.
func find(obj *hujson.Object, member string) (int, error) {
	found := -1
	for i := range obj.Members {
		if lit, ok := obj.Members[i].Name.Value.(hujson.Literal); ok && lit.String() == member {
			if found >= 0 {
				return 0, fmt.Errorf("%w: %q is there twice", ErrShape, member)
			}
			found = i
		}
	}
	return found, nil
}

// plain is a value without comments and trailing commas.
func plain(v hujson.Value) []byte {
	v = v.Clone()
	v.BeforeExtra, v.AfterExtra = nil, nil
	v.Minimize()
	return v.Pack()
}

func same(a, b []byte) bool {
	x, y := jsontext.Value(bytes.Clone(a)), jsontext.Value(bytes.Clone(b))
	return x.Canonicalize() == nil && y.Canonicalize() == nil && bytes.Equal(x, y)
}

func quote(s string) string {
	text, _ := jsontext.AppendQuote(nil, s) // only invalid UTF-8 fails, and is replaced then
	return string(text)
}

func name(path []string) string {
	if len(path) == 0 {
		return "the file"
	}
	return strings.Join(path, ".")
}
