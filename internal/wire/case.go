package wire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

var errCase = errors.New("a name is written in another case")

// shape is what checkCase needs to know of a struct type: its names and what stands under them.
type shape struct {
	under  map[string]*shape // nil: nothing below is ours to judge
	folded map[string]bool   // the names in lower case
}

// shapes caches what was derived from types; the lock is held while a type is taken apart.
var shapes = struct {
	sync.Mutex
	of map[reflect.Type]*shape
}{of: map[reflect.Type]*shape{}}

// checkCase refuses a name that differs from a known one only in case. Values of maps and raw JSON are left alone.
func checkCase(data []byte, t reflect.Type) error {
	shapes.Lock()
	s := shapeOf(t)
	shapes.Unlock()
	return s.check(jsontext.NewDecoder(bytes.NewBuffer(data)))
}

func shapeOf(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	if s, ok := shapes.of[t]; ok {
		return s
	}
	s := &shape{under: map[string]*shape{}, folded: map[string]bool{}}
	shapes.of[t] = s // before its fields: types may contain themselves
	s.add(t)
	return s
}

// add takes in the fields of t, and those of what it embeds.
func (s *shape) add(t reflect.Type) {
	for f := range t.Fields() {
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case option == "embed" || f.Anonymous && name == "":
			if inner := indirect(f.Type); inner.Kind() == reflect.Struct {
				s.add(inner)
			}
		default:
			if name == "" {
				name = f.Name
			}
			s.under[name] = shapeOf(f.Type)
			s.folded[strings.ToLower(name)] = true
		}
	}
}

// indirect is what a pointer points to, and any other type itself.
func indirect(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// check walks one value.
func (s *shape) check(d *jsontext.Decoder) error {
	if s == nil {
		return d.SkipValue()
	}
	switch d.PeekKind() {
	case '{':
		return s.checkMembers(d)
	case '[':
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		for d.PeekKind() != ']' {
			if err := s.check(d); err != nil {
				return err
			}
		}
		_, err := d.ReadToken()
		return err
	}
	return d.SkipValue()
}

func (s *shape) checkMembers(d *jsontext.Decoder) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		tok, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := tok.String()
		under, known := s.under[name]
		if !known && s.folded[strings.ToLower(name)] {
			return errCase
		}
		if err := under.check(d); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}
