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

type inner struct {
	Name string `json:"name"`
}

type Outer struct {
	Far string `json:"far,omitzero"`
}

type node struct {
	inner
	*Outer
	Next  *node            `json:"next,omitzero"`
	Kids  []node           `json:"kids,omitzero"`
	Bag   map[string]int64 `json:"bag,omitzero"`
	Raw   RawMessage       `json:"raw,omitzero"`
	Plain string
}

func TestDecodeJudgesCaseWhereNamesAreOurs(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{
		`{"x":1,"name":"a","next":{"next":{"name":"b"}},"kids":[{"name":"c"}],"Plain":"p"}`: true,
		`{"x":1,"bag":{"Name":1,"NAME":2},"raw":{"Name":1}}`:                                true,
		`{"x":1,"next":null,"kids":null}`:                                                   true,
		`{"x":{"Name":1}}`:                                                                  true,
		`{"x":1,"far":"a"}`:                                                                 true,
		`{"x":1,"FAR":"a"}`:                                                                 false,
		`{"x":1,"Name":"a"}`:                                                                false,
		`{"x":1,"plain":"p"}`:                                                               false,
		`{"x":1,"next":{"next":{"NAME":"b"}}}`:                                              false,
		`{"x":1,"kids":[{"name":"c"},{"Kids":[]}]}`:                                         false,
		`{"next":{"y":1,"NEXT":null}}`:                                                      false,
	} {
		var v node
		if err := Decode([]byte(in), &v); (err == nil) != ok {
			t.Errorf("%s: got %v, want ok %v", in, err, ok)
		}
	}
}

// The first attempt at a value with an unknown name has filled a part of it.
func TestDecodeWithUnknownNameLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	v := sample{Names: []string{"before"}}
	if err := Decode([]byte(`{"to":"a","deep":{"inner":"b"},"extra":1}`), &v); err != nil {
		t.Fatal(err)
	}
	if v.To != "a" || v.Deep.Inner != "b" || v.Names != nil {
		t.Errorf("got %+v, want what was sent and no more", v)
	}
}

func TestErrorsRepeatNothingOfTheInput(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		`{"to":"a","secret-name":1,"secret-name":2}`, `{"to":123456789}`, `{"count":98765432109876543210}`, `{"to":"a"} secret-name`, "{\"to\":\"secret-name\xff\"}",
	} {
		var v sample
		err := Decode([]byte(in), &v)
		if err == nil || strings.Contains(err.Error(), "secret-name") || strings.Contains(err.Error(), "123456789") || strings.Contains(err.Error(), "98765") {
			t.Errorf("%s: got %v, want an error without the input", in, err)
		}
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	v := struct {
		None []string         `json:"none"`
		Map  map[string]int64 `json:"map"`
		HTML string           `json:"html"`
		Big  int64            `json:"big"`
	}{Map: map[string]int64{"b": 2, "a": 1, "c": 3}, HTML: "<&>", Big: 1<<63 - 1}
	got, err := Encode(v)
	if want := `{"none":[],"map":{"a":1,"b":2,"c":3},"html":"<&>","big":9223372036854775807}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	indented, err := EncodeIndent(sample{To: "a"})
	if want := "{\n  \"to\": \"a\"\n}"; err != nil || string(indented) != want {
		t.Errorf("got %s, %v, want %s", indented, err, want)
	}
	for _, encode := range []func(any) ([]byte, error){Encode, EncodeIndent} {
		if data, err := encode(sample{To: "\xff"}); data != nil || !mesh.IsCode(err, mesh.Internal) {
			t.Errorf("text that is not UTF-8: got %s, %v, want nothing and internal", data, err)
		}
	}
}

// TestDecodeCut holds that half of a character keeps nothing else from being heard, where a host cut a text, and that all else is
// refused as ever.
func TestDecodeCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{`{"event":"Stop","said":"cut \ud83d"}`, "Stop"},
		{`{"event":"cut \ud83d","said":1}`, "cut \ufffd"},
		{"{\"event\":\"Stop\",\"said\":\"\xff\"}", "Stop"},
		{`{"event":"Stop","said":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, ""},
		{`{"event":"Stop","event":"Start"}`, ""},
		{`{"event":"Stop"} more`, ""},
	} {
		var got struct {
			Event string `json:"event"`
		}
		if err := DecodeCut([]byte(tt.text), &got); (err == nil) != (tt.want != "") || err == nil && got.Event != tt.want {
			t.Errorf("%.60q: got %q (%v), want %q", tt.text, got.Event, err, tt.want)
		}
	}
}
