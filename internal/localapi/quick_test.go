package localapi

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// The types without their methods: what reflection does with them is what counts.
type (
	plainRequest SendRequest
	plainAnswer  SendAnswer
)

// draw draws a value for every field, so that a new one cannot be forgotten.
func draw(t *rapid.T, v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(rapid.OneOf(rapid.Just(""), rapid.String()).Draw(t, "text"))
		case reflect.Bool:
			f.SetBool(rapid.Bool().Draw(t, "bool"))
		case reflect.Int64:
			f.SetInt(rapid.Int64().Draw(t, "number"))
		case reflect.Pointer:
			if rapid.Bool().Draw(t, "there") {
				f.Set(reflect.New(f.Type().Elem()))
				f.Elem().SetBool(rapid.Bool().Draw(t, "bool"))
			}
		case reflect.Slice:
			drawSlice(t, f)
		default:
			t.Fatalf("field %s has a kind that this test does not know", v.Type().Field(i).Name)
		}
	}
}

func drawSlice(t *rapid.T, f reflect.Value) {
	if !rapid.Bool().Draw(t, "there") {
		return
	}
	switch f.Interface().(type) {
	case wire.RawMessage:
		f.SetBytes([]byte(rapid.SampledFrom([]string{`{}`, `{"a":[1,null,"x"]}`}).Draw(t, "meta")))
	case []Recipient:
		f.Set(reflect.ValueOf([]Recipient{{Name: "ben", Pubkey: "ab", State: mesh.StateAccepted}}))
	default:
		t.Fatalf("a slice of %s is not known to this test", f.Type())
	}
}

func TestSendRequestWritesItselfAsReflectionWould(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r SendRequest
		draw(t, reflect.ValueOf(&r).Elem())
		got, err := wire.Encode(r)
		want, wantErr := wire.Encode(plainRequest(r))
		if string(got) != string(want) || (err == nil) != (wantErr == nil) {
			t.Fatalf("got %s, %v\nwant %s, %v", got, err, want, wantErr)
		}
	})
}

func TestSendAnswerReadsItselfAsReflectionWould(t *testing.T) {
	t.Parallel()
	odd := []string{
		"", "null", "[]", "{", `{}`, `{}x`, `{} `, `{"status":1}`, `{"status":null}`, `{"status":"a","status":"b"}`, `{"Status":"a"}`,
		`{"status":"a","later":{}}`, `{"encrypted":"true"}`, `{"encrypted":null}`, `{"recipient_online":null}`, `{"recipients":[]}`,
		`{"recipients":null}`, `{"recipients":[{"name":"a","pubkey":"b","state":"c"}],"status":"a"}`, "{\"status\":\"\xff\"}",
		`{"status":"\ud800"}`, `{"duplicate":true,}`,
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(append(odd, "")).Draw(t, "odd")
		if text == "" {
			var a SendAnswer
			draw(t, reflect.ValueOf(&a).Elem())
			data, err := wire.Encode(plainAnswer(a))
			if err != nil {
				t.Skip("not encodable")
			}
			text = string(data)
		}
		var got SendAnswer
		var want plainAnswer
		err, wantErr := wire.Decode([]byte(text), &got), wire.Decode([]byte(text), &want)
		if mesh.CodeOf(err) != mesh.CodeOf(wantErr) || (err == nil) != (wantErr == nil) {
			t.Fatalf("%s: got error %v, want %v", text, err, wantErr)
		}
		if d := cmp.Diff(SendAnswer(want), got); err == nil && d != "" {
			t.Fatalf("%s (-want +got):\n%s", text, d)
		}
	})
}
