package wire

import (
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestReadHead(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 31) + strings.Repeat("]", 31)
	tests := []struct {
		name, in string
		want     Head
		ok       bool
	}{
		{"all three", `{"type":"send","_reqId":"r","id":"i"}`, Head{"send", "r", "i"}, true},
		{"any place", `{"x":[{"type":"no"}],"id":"i","type":"send","y":{"id":"no"},"_reqId":"r"}`, Head{"send", "r", "i"}, true},
		{"escaped", `{"\u0074ype":"s\u0065nd","id":"\""}`, Head{"send", "", `"`}, true},
		{"ids that are no text", `{"type":"send","_reqId":5,"id":{"a":1}}`, Head{"send", "", ""}, true},
		{"other case is another name", `{"type":"send","ID":"i"}`, Head{"send", "", ""}, true},
		{"32 levels", `{"type":"send","x":` + deep + `}`, Head{"send", "", ""}, true},
		{"33 levels", `{"type":"send","x":[` + deep + `]}`, Head{}, false},
		{"no type", `{"id":"i"}`, Head{}, false},
		{"empty type", `{"type":""}`, Head{}, false},
		{"type is no text", `{"type":5}`, Head{}, false},
		{"two types", `{"type":"a","type":"b"}`, Head{}, false},
		{"duplicate elsewhere", `{"type":"a","x":1,"x":2}`, Head{}, false},
		{"bad UTF-8", "{\"type\":\"a\",\"x\":\"\xff\"}", Head{}, false},
		{"cut off", `{"type":"a"`, Head{}, false},
		{"cut off in the value", `{"type":"a","id":"`, Head{}, false},
		{"array", `["type"]`, Head{}, false},
		{"nothing", ``, Head{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ReadHead([]byte(tt.in))
			if (err == nil) != tt.ok || tt.ok && got != tt.want {
				t.Errorf("got %+v, %v, want %+v, ok %v", got, err, tt.want, tt.ok)
			}
			if err != nil && !mesh.IsCode(err, mesh.BadJSON) {
				t.Errorf("got code %s, want %s", mesh.CodeOf(err), mesh.BadJSON)
			}
		})
	}
}

func TestQuickType(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"type":"send","id":"type"}`: "send", `{"type":"send"`: "send", `{"type":""}`: "", `{"type":"send`: "", `{"type":"`: "",
		` {"type":"send"}`: "", `{"id":"i","type":"send"}`: "", `{"type":5}`: "", ``: "",
	} {
		if got := string(quickType([]byte(in))); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}
