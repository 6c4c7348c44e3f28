package roster

import (
	"reflect"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// filled is a row with something in every field, also in those that come later.
func filled(t *testing.T, text string) protocol.Peer {
	t.Helper()
	var p protocol.Peer
	fill(t, reflect.ValueOf(&p).Elem(), text)
	return p
}

func fill(t *testing.T, v reflect.Value, text string) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(false)
	case reflect.Int, reflect.Int64:
		v.SetInt(-1 << 53)
	case reflect.Float64:
		v.SetFloat(-1.2345678901234567e-300)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fill(t, v.Index(i), text)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), text)
		}
	default:
		t.Fatalf("a row has a field of kind %v, and room does not know it", v.Kind())
	}
}

func TestARowHasRoom(t *testing.T) {
	t.Parallel()
	alone := protocol.Peer{Pubkey: mesh.Key(strings.Repeat("a", 64)), MemberPubkey: mesh.Key(strings.Repeat("b", 64)), DisplayName: "ann", PeerRole: mesh.SessionRole}
	loud := filled(t, "x")
	loud.Reconnecting, loud.Proved, loud.Receipts = true, true, true
	for name, p := range map[string]protocol.Peer{
		"empty": {}, "usual": alone, "full": loud, "quotes": filled(t, `"\"`), "controls": filled(t, "\x00\n\x1f"), "letters": filled(t, "é漢🙂"), "long": filled(t, strings.Repeat("x", 500)),
	} {
		row, err := wire.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		got, want := room(&p), len(row)+1
		if got < want {
			t.Errorf("%s: a row of %d bytes has room %d", name, want, got)
		}
		if plain := name == "usual" || name == "long"; plain && got > want+want/10 {
			t.Errorf("%s: a row of %d bytes takes the room of %d", name, want, got)
		}
	}
}
