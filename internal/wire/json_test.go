package wire

import (
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

type sample struct {
	To    string   `json:"to"`
	Count int64    `json:"count,omitzero"`
	Names []string `json:"names,omitzero"`
	Deep  struct {
		Inner string `json:"inner"`
	} `json:"deep,omitzero"`
}

func TestDecodeIsStrict(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		ok       bool
	}{
		{"plain", `{"to":"a"}`, true},
		{"unknown name", `{"to":"a","extra":{"x":[1]}}`, true},
		{"largest integer", `{"to":"a","count":9223372036854775807}`, true},
		{"duplicate", `{"to":"a","to":"b"}`, false},
		{"wrong case", `{"TO":"a"}`, false},
		{"wrong case beside the right one", `{"to":"alice","TO":"mallory"}`, false},
		{"wrong case beside an unknown name", `{"To":"a","extra":1}`, false},
		{"same letters, other name", `{"to":"a","t_o":1,"dee-p":2}`, true},
		{"wrong case inside", `{"to":"a","deep":{"Inner":"x"}}`, false},
		{"trailing document", `{"to":"a"}{}`, false},
		{"trailing text", `{"to":"a"} x`, false},
		{"bad UTF-8", "{\"to\":\"\xff\"}", false},
		{"lone surrogate", `{"to":"\ud800"}`, false},
		{"fraction into integer", `{"to":"a","count":1.5}`, false},
		{"integer too large", `{"to":"a","count":9223372036854775808}`, false},
		{"wrong type", `{"to":1}`, false},
		{"array", `[]`, false},
		{"empty", ``, false},
		{"32 levels", `{"to":"a","x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, true},
		{"33 levels", `{"to":"a","x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, false},
		{"brackets in a string", `{"to":"` + strings.Repeat("[", 100) + `"}`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var v sample
			err := Decode([]byte(tt.in), &v)
			if ok := err == nil; ok != tt.ok {
				t.Errorf("Decode(%.60s): got error %v, want ok %v", tt.in, err, tt.ok)
			}
			if err != nil && !mesh.IsCode(err, mesh.BadJSON) {
				t.Errorf("Decode(%.60s): got code %s, want %s", tt.in, mesh.CodeOf(err), mesh.BadJSON)
			}
		})
	}
}

func TestDecodeKnownRefusesUnknownNames(t *testing.T) {
	t.Parallel()
	var v sample
	if err := DecodeKnown([]byte(`{"to":"a","extra":1}`), &v); !mesh.IsCode(err, mesh.BadJSON) {
		t.Errorf("got %v, want invalid_json", err)
	}
}

func TestFrameIsFlat(t *testing.T) {
	t.Parallel()
	data, err := encodeFrame("x", "r1", sample{To: "<b>"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(data), `{"type":"x","_reqId":"r1","to":"<b>"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	f, err := decodeFrame[sample](append(data[:len(data)-1:len(data)-1], []byte(`,"later":1}`)...))
	if err != nil || f.Body.To != "<b>" || f.ReqID != "r1" {
		t.Errorf("got %+v, %v", f, err)
	}
}
