package wire

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// QuickWriter is a body that can write itself. The first use of a type by reflection costs a verb a tenth of a
// millisecond, and each use costs the broker as much as a statement of its store, so what every send carries has these
// two; tests hold both to what reflection does.
type QuickWriter interface {
	// WriteJSON writes the members of the object.
	WriteJSON(o *Object)
}

// QuickReader is a body that can read its members.
type QuickReader interface {
	// ReadJSON reads the value of a member. It reports false for one that it leaves to reflection.
	ReadJSON(name string, m *Member) bool
}

// Object is an object that is being written.
type Object struct {
	text []byte
	err  error
}

// Text writes a member that is a string, unless it is empty and may be left out.
func (o *Object) Text(name, value string, omit bool) {
	if omit && value == "" {
		return
	}
	o.name(name)
	var err error
	if o.text, err = jsontext.AppendQuote(o.text, value); err != nil && o.err == nil {
		o.err = err
	}
}

// Int writes a member that is a number, unless it is 0 and may be left out.
func (o *Object) Int(name string, value int64, omit bool) {
	if omit && value == 0 {
		return
	}
	o.name(name)
	o.text = strconv.AppendInt(o.text, value, 10)
}

// Bool writes a member that is true or false.
func (o *Object) Bool(name string, value bool) {
	o.name(name)
	o.text = strconv.AppendBool(o.text, value)
}

// True writes a member that is true, and leaves out one that is not.
func (o *Object) True(name string, value bool) {
	if value {
		o.Raw(name, []byte("true"))
	}
}

// Raw writes a member that is JSON text, unless it is empty.
func (o *Object) Raw(name string, value []byte) {
	if len(value) > 0 {
		o.name(name)
		o.text = append(o.text, value...)
	}
}

func (o *Object) name(name string) {
	if len(o.text) > 1 {
		o.text = append(o.text, ',')
	}
	o.text = append(o.text, '"')
	o.text = append(o.text, name...)
	o.text = append(o.text, '"', ':')
}

// encodeQuick writes a body by itself.
func encodeQuick(v QuickWriter) ([]byte, error) {
	o := &Object{text: append(make([]byte, 0, 512), '{')}
	v.WriteJSON(o)
	if o.err != nil {
		return nil, mesh.Errorf(mesh.Internal, "encode %T: %w", v, o.err)
	}
	return append(o.text, '}'), nil
}

// Member is the value of a member that is being read.
type Member struct{ d *jsontext.Decoder }

// Text reads a string.
func (m *Member) Text(into *string) bool {
	t, err := m.d.ReadToken()
	if err != nil || t.Kind() != '"' {
		return false
	}
	*into = t.String()
	return true
}

// Bool reads true or false.
func (m *Member) Bool(into *bool) bool {
	t, err := m.d.ReadToken()
	if err != nil || t.Kind() != 't' && t.Kind() != 'f' {
		return false
	}
	*into = t.Bool()
	return true
}

// decodeQuick reads an object by itself. It reports false where anything is not as expected: reflection finds out what it
// is, and whether it is an error.
func decodeQuick(data []byte, v QuickReader) bool {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return false
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil || !v.ReadJSON(name.String(), &Member{d}) {
			return false
		}
	}
	if t, err := d.ReadToken(); err != nil || t.Kind() != '}' {
		return false
	}
	_, err := d.ReadToken()
	return errors.Is(err, io.EOF)
}
