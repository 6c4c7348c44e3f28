package mcp

import (
	"reflect"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// schema is the part of JSON Schema in which the arguments of tools are described.
type schema struct {
	Type        string            `json:"type,omitzero"`
	Description string            `json:"description,omitzero"`
	Enum        []string          `json:"enum,omitzero"`
	AnyOf       []schema          `json:"anyOf,omitzero"`
	Items       *schema           `json:"items,omitzero"`
	Properties  map[string]schema `json:"properties,omitzero"`
	Required    []string          `json:"required,omitzero"`
	Additional  *bool             `json:"additionalProperties,omitzero"` // false: names that are not listed are refused
}

// kinds are the JSON types of what requests hold.
var kinds = map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer"}

// schemaOf describes those fields of a request that are offered, in the words of its declaration. A field that may not
// be left out is required.
func schemaOf(request reflect.Type, offered []string) schema {
	s := schema{Type: "object", Properties: map[string]schema{}, Additional: new(bool)}
	for f := range request.Fields() {
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !slices.Contains(offered, name) {
			continue
		}
		kind := f.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		s.Properties[name] = schema{Type: kinds[kind.Kind()], Description: f.Tag.Get("jsonschema")}
		if option == "" {
			s.Required = append(s.Required, name)
		}
	}
	return s
}

// check parts arguments by name. A name that is not offered is refused: nothing that was asked for is ignored.
func (s schema) check(raw wire.RawMessage) (map[string]wire.RawMessage, error) {
	given := map[string]wire.RawMessage{}
	if len(raw) > 0 && raw.Kind() != 'n' {
		if err := wire.Decode(raw, &given); err != nil {
			return nil, mesh.Errorf(mesh.InvalidArgument, "the arguments are not one JSON object")
		}
	}
	for name := range given {
		if _, ok := s.Properties[name]; !ok {
			return nil, mesh.Errorf(mesh.InvalidArgument, "there is no argument %.60q", name)
		}
	}
	for _, name := range s.Required {
		if _, ok := given[name]; !ok {
			return nil, mesh.Errorf(mesh.InvalidArgument, "the argument %s is missing", name)
		}
	}
	return given, nil
}
