package wire

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// FuzzFrame sends a frame down the short way and the long way: both do the same, and neither takes what is not JSON.
func FuzzFrame(f *testing.F) {
	for _, tt := range muxCases {
		f.Add([]byte(tt.in), tt.goCaller)
	}
	for _, in := range []string{
		`{"_reqId":"0"}`, `{"type":"plain","type":"quirk","_reqId":"r"}`, `{"type":"plain","n":1,"n":2}`, `{"type":"plain"`, `{"type":"plain\`, `{"type":"\`,
		`{"type":"item","id":"a","ID":"b"}`, `{"type":"item","id":null}`, `{"type":"item","id":{"n":1}}`, "{\"type\":\"plain\",\"text\":\"\xff\"}",
		`{"type":"plain","text":"\ud800"}`, `{"type":"plain","x":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}`, `{"type":"plain"}{}`,
	} {
		f.Add([]byte(in), true)
	}
	m := testMux()
	f.Fuzz(func(t *testing.T, in []byte, goCaller bool) {
		quick, slow := dispatch(m, goCaller, string(in)), serveSlowly(m, goCaller, string(in))
		if diff := cmp.Diff(slow, quick); diff != "" {
			t.Errorf("%q: -long way +short way\n%s", in, diff)
		}
		if quick.Seen != nil && (!json.Valid(in) || !utf8.Valid(in)) {
			t.Errorf("%q: a handler saw what is not JSON", in)
		}
		for _, frame := range quick.Frames {
			var v map[string]RawMessage
			if err := Decode([]byte(frame), &v); err != nil {
				t.Errorf("%q was answered with %s: %v", in, frame, err)
			}
		}
	})
}

// FuzzDecode reads a struct with everything strictness looks at: what is taken reads back as the same, and the
// sentence of a refusal repeats nothing of the input.
func FuzzDecode(f *testing.F) {
	for _, in := range []string{
		`{"to":"a","count":1,"names":["x"],"deep":{"inner":"y"}}`, `{"to":"a","extra":{"To":1}}`, `{"to":"a","deep":{"INNER":"x"}}`, `{"to":null}`, `{"count":1e3}`,
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var v, again sample
		if err := Decode(in, &v); err != nil {
			if !mesh.IsCode(err, mesh.BadJSON) || len(err.Error()) > 60 {
				t.Errorf("Decode(%q): got %v, want a short invalid_json", in, err)
			}
			return
		}
		data, err := Encode(v)
		if err != nil {
			t.Fatalf("Encode(%+v): %v", v, err)
		}
		if err := DecodeKnown(data, &again); err != nil {
			t.Fatalf("DecodeKnown(%s): %v", data, err)
		}
		second, err := Encode(again)
		if err != nil || string(second) != string(data) {
			t.Errorf("got %s, %v the second time, want %s", second, err, data)
		}
	})
}
