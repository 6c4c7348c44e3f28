package localapi

import (
	"errors"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// scalars reads the top-level fields of an encoded request as text; only strings, numbers and booleans travel
// outside a body.
func scalars(data []byte) (map[string]string, error) {
	var raw map[string]wire.RawMessage
	if err := wire.Decode(data, &raw); err != nil {
		return nil, err
	}
	out := make(map[string]string, len(raw))
	for name, value := range raw {
		text := string(value)
		if value.Kind() == '"' {
			if err := wire.Decode(value, &text); err != nil {
				return nil, err
			}
		}
		out[name] = text
	}
	return out, nil
}

// fillPath puts fields into a path pattern and says which.
func fillPath(pattern string, data []byte) (string, map[string]bool, error) {
	if !strings.Contains(pattern, "{") {
		return pattern, nil, nil
	}
	fields, err := scalars(data)
	if err != nil {
		return "", nil, err
	}
	taken := map[string]bool{}
	for _, name := range pathNames(pattern) {
		switch fields[name] {
		case "":
			return "", nil, mesh.Errorf(mesh.BadRequest, "%s is empty", name)
		case ".", "..": // which would name another route
			return "", nil, mesh.Errorf(mesh.BadRequest, "%s cannot be %q", name, fields[name])
		}
		taken[name] = true
		pattern = strings.Replace(pattern, "{"+name+"}", url.PathEscape(fields[name]), 1)
	}
	return pattern, taken, nil
}

// pathNames lists the `{names}` of a pattern.
func pathNames(pattern string) []string {
	var names []string
	for part := range strings.SplitSeq(pattern, "/") {
		if strings.HasPrefix(part, "{") {
			names = append(names, strings.Trim(part, "{}"))
		}
	}
	return names
}

// queryOf writes what the path did not take as a query.
func queryOf(data []byte, taken map[string]bool) (string, error) {
	fields, err := scalars(data)
	if err != nil {
		return "", err
	}
	q := url.Values{}
	for name, value := range fields {
		if !taken[name] {
			q.Set(name, value)
		}
	}
	return q.Encode(), nil
}

// setQuery fills the fields of a request from a query. Fields of the path are no parameters.
func setQuery(req any, q url.Values, inPath []string) error {
	for name, values := range q {
		err := errUnknown
		if len(values) != 1 {
			return mesh.Errorf(mesh.BadRequest, "%q stands %d times in the query", name, len(values))
		}
		if f, ok := fieldOf(req, name); ok && !slices.Contains(inPath, name) {
			err = setField(f, values[0])
		}
		if err != nil {
			return mesh.Errorf(mesh.BadRequest, "query %q: %w", name, err)
		}
	}
	return nil
}

// setPath fills the fields of a request from the values of its path.
func setPath(req any, names []string, pathValue func(string) string) error {
	for _, name := range names {
		value := pathValue(name)
		err := errUnknown
		if f, ok := fieldOf(req, name); ok {
			if said := f.String(); said != "" && said != value {
				return mesh.Errorf(mesh.BadRequest, "%s in the body is not that of the path", name)
			}
			err = setField(f, value)
		}
		if err != nil {
			return mesh.Errorf(mesh.BadRequest, "path %s: %w", name, err)
		}
	}
	return nil
}

var errUnknown = errors.New("not a parameter of this route")

// fieldOf finds the field of a struct pointer that has this JSON name.
func fieldOf(req any, name string) (reflect.Value, bool) {
	v := reflect.ValueOf(req).Elem()
	for i := range v.NumField() {
		tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if tag == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// setField reads a scalar from text.
func setField(f reflect.Value, text string) error {
	switch f.Kind() {
	case reflect.String:
		if !utf8.ValidString(text) {
			return errors.New("not UTF-8")
		}
		f.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("not true or false")
		}
		f.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, f.Type().Bits())
		if err != nil {
			return errors.New("not a whole number")
		}
		f.SetInt(n)
	case reflect.Pointer:
		f.Set(reflect.New(f.Type().Elem()))
		return setField(f.Elem(), text)
	default:
		return errUnknown
	}
	return nil
}
