package protocol

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/claudemesh/claudemesh/internal/wire"
)

// The types without their methods: what reflection does with them is what counts.
type (
	plainPush    PushedMessage
	plainAck     Ack
	plainReceipt Receipt
)

// draw draws a value for every field, so that a new one cannot be forgotten.
func draw(t *rapid.T, v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(rapid.OneOf(rapid.Just(""), rapid.String()).Draw(t, "text"))
		case reflect.Bool:
			f.SetBool(rapid.Bool().Draw(t, "bool"))
		case reflect.Int, reflect.Int64:
			f.SetInt(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64()).Draw(t, "number"))
		case reflect.Slice:
			if raw := rapid.SampledFrom([]string{"", `{}`, `{"a":[1,null,"x"]}`}).Draw(t, "raw"); raw != "" {
				f.SetBytes([]byte(raw))
			}
		case reflect.Pointer:
			if rapid.Bool().Draw(t, "there") {
				b := rapid.Bool().Draw(t, "bool")
				f.Set(reflect.ValueOf(&b))
			}
		default:
			t.Fatalf("field %s has a kind that this test does not know", v.Type().Field(i).Name)
		}
	}
}

// sameText fails unless a type writes itself, in a frame, as it does without its methods.
func sameText[T, Plain any](t *rapid.T, plain func(T) Plain) {
	var v T
	draw(t, reflect.ValueOf(&v).Elem())
	entry := &wire.Entry{Spec: wire.Spec{Reply: "frame"}}
	reqID := rapid.SampledFrom([]string{"", "r1"}).Draw(t, "reqID")
	got, err := wire.Call[wire.None, T]{Entry: entry}.EncodeReply(reqID, v)
	want, wantErr := wire.Call[wire.None, Plain]{Entry: entry}.EncodeReply(reqID, plain(v))
	if string(got) != string(want) || (err == nil) != (wantErr == nil) {
		t.Fatalf("got %s, %v\nwant %s, %v", got, err, want, wantErr)
	}
}

func TestFramesWriteThemselvesAsReflectionWould(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sameText(t, func(m PushedMessage) plainPush { return plainPush(m) })
		sameText(t, func(a Ack) plainAck { return plainAck(a) })
		sameText(t, func(r Receipt) plainReceipt { return plainReceipt(r) })
	})
}
