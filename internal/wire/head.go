package wire

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Head is what routes a frame: read without decoding the rest.
type Head struct {
	Type  string
	ReqID string
	ID    string
}

// errNoType is a frame that can be read, and does not say what it is.
var errNoType = mesh.Errorf(mesh.BadJSON, "a frame has a type")

// ReadHead reads type, _reqId and id of a frame and skips everything else. It stops at the first error, but does not
// look for one behind what it needs: Decode checks the whole frame.
func ReadHead(data []byte) (Head, error) {
	if tooDeep(data) {
		return Head{}, refuse(errDepth)
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(data))
	var h Head
	tok, err := d.ReadToken()
	if err != nil || tok.Kind() != '{' {
		return h, refuse(errNoObject)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return h, refuse(err)
		}
		if err := h.field(d, name.String()); err != nil {
			return h, refuse(err)
		}
	}
	if h.Type == "" {
		return h, errNoType
	}
	return h, nil
}

// field reads one value into the head, or skips it.
func (h *Head) field(d *jsontext.Decoder, name string) error {
	var to *string
	switch name {
	case "type":
		to = &h.Type
	case "_reqId":
		to = &h.ReqID
	case "id":
		to = &h.ID
	default:
		return d.SkipValue()
	}
	if d.PeekKind() != '"' {
		return d.SkipValue()
	}
	tok, err := d.ReadToken()
	if err == nil {
		*to = tok.String()
	}
	return err
}

// quickType gives the type that stands at the beginning of a frame, where nearly every client writes it, or nothing.
// It is a guess: it counts once the whole frame decodes, which refuses a second type behind it.
func quickType(data []byte) []byte {
	rest, ok := bytes.CutPrefix(data, []byte(`{"type":"`))
	if !ok {
		return nil
	}
	return rest[:max(0, bytes.IndexByte(rest, '"'))]
}
