package splice

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tailscale/hujson"
)

const entry = `{"command":"/bin/claudemesh","args":["mcp"]}`

func TestSetJSON(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, text, want string }{
		{"nothing", "", `{
  "servers": {
    "claudemesh": {
      "command": "/bin/claudemesh",
      "args": [
        "mcp"
      ]
    }
  }
}
`},
		{"behind others, with tabs and comments", "{\n\t// mine\n\t\"servers\": {\n\t\t\"a\": 1 // last\n\t},\n\t\"z\": [1,2]\n}\n", "{\n\t// mine\n\t\"servers\": {\n\t\t\"a\": 1, // last\n\t\t\"claudemesh\": {\n\t\t\t\"command\": \"/bin/claudemesh\",\n\t\t\t\"args\": [\n\t\t\t\t\"mcp\"\n\t\t\t]\n\t\t}\n\t},\n\t\"z\": [1,2]\n}\n"},
		{"a trailing comma", "{\n  \"servers\": {\n    \"a\": 1,\n  },\n}\n", "{\n  \"servers\": {\n    \"a\": 1,\n    \"claudemesh\": {\n      \"command\": \"/bin/claudemesh\",\n      \"args\": [\n        \"mcp\"\n      ]\n    },\n  },\n}\n"},
		{"on one line", `{"servers":{"a":1}}`, `{"servers":{"a":1, "claudemesh": {"command": "/bin/claudemesh", "args": ["mcp"]}}}`},
		{"other line ends", "{\r\n  \"x\": 1\r\n}\r\n", "{\r\n  \"x\": 1,\r\n  \"servers\": {\r\n    \"claudemesh\": {\r\n      \"command\": \"/bin/claudemesh\",\r\n      \"args\": [\r\n        \"mcp\"\r\n      ]\r\n    }\r\n  }\r\n}\r\n"},
		{"an older one", `{"servers": {"claudemesh": {"command": "old"}, "b": 2}}`, `{"servers": {"claudemesh": {"command": "/bin/claudemesh", "args": ["mcp"]}, "b": 2}}`},
		{"the same in other words", "{\"servers\": {\"claudemesh\": {\"args\": [ \"mcp\" ], /* ! */ \"command\": \"/bin/claudemesh\"}}}", "{\"servers\": {\"claudemesh\": {\"args\": [ \"mcp\" ], /* ! */ \"command\": \"/bin/claudemesh\"}}}"},
		{"a comment to the end of a line", "{\"servers\": {} // x\n}", "{\"servers\": {\"claudemesh\": {\"command\": \"/bin/claudemesh\", \"args\": [\"mcp\"]}} // x\n}"},
	}
	for _, c := range cases {
		got, err := SetJSON([]byte(c.text), entry, "servers", "claudemesh")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestOtherShapesAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`[]`, `{"servers":[]}`, `{"servers":{"claudemesh":1,"claudemesh":2}}`, "\ufeff{}", `{"servers":7}`} {
		if got, err := SetJSON([]byte(text), entry, "servers", "claudemesh"); !errors.Is(err, ErrShape) {
			t.Errorf("set in %s: got %q and %v, want %v", text, got, err, ErrShape)
		}
	}
	if _, err := SetJSON([]byte(`{"a":1`), entry, "servers"); err == nil {
		t.Error("a broken text was changed, want an error")
	}
	if _, err := AppendJSON([]byte(`{"hooks":{"Stop":{}}}`), "1", "hooks", "Stop"); !errors.Is(err, ErrShape) {
		t.Errorf("append to an object: got %v, want %v", err, ErrShape)
	}
}

func TestAppendAndDeleteElements(t *testing.T) {
	t.Parallel()
	const text = "{\n  \"hooks\": {\n    \"Stop\": [\n      {\"command\": \"beep\"} // loud\n    ]\n  }\n}\n"
	const ours = `{"command":"claudemesh hook stop"}`
	got, err := AppendJSON([]byte(text), ours, "hooks", "Stop")
	if err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"hooks\": {\n    \"Stop\": [\n      {\"command\": \"beep\"}, // loud\n      {\n        \"command\": \"claudemesh hook stop\"\n      }\n    ]\n  }\n}\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Fatalf("append (-want +got):\n%s", diff)
	}
	back, err := DeleteElements(got, func(e []byte) bool { return strings.Contains(string(e), "claudemesh") }, "hooks", "Stop")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(back)); diff != "" {
		t.Errorf("delete (-want +got):\n%s", diff)
	}
	first, err := DeleteElements(got, func(e []byte) bool { return strings.Contains(string(e), "beep") }, "hooks", "Stop")
	if err != nil {
		t.Fatal(err)
	}
	if value, ok, err := JSON(first, "hooks", "Stop"); !ok || err != nil || string(value) != "["+ours+"]" {
		t.Errorf("after deleting the first: got %s, %v, %v, want our element alone", value, ok, err)
	}
}

// FuzzJSON holds that what is put into a text can be read from it, and leaves no trace when it is taken out.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		"{}", "", "{\n}", `{"a":1}`, "{\n\t\"a\": [1, 2,], // x\n}", "{\"m\": {}}", "{\"m\": {\"k\": 1,},\n}", "{ /* c */ }", "// head\n{\"m\":{\n// in\n}}",
		"{\"m\":{\"k\":{}},\r\n\"z\":0\r\n}", "{\"m\":{\"z\": 1 // y\n}}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, had, err := JSON([]byte(text), "m", "k")
		if err != nil {
			return
		}
		_, parent, _ := JSON([]byte(text), "m")
		set, err := SetJSON([]byte(text), `{"n":[true]}`, "m", "k")
		if err != nil {
			return
		}
		if _, err := hujson.Parse(set); err != nil {
			t.Fatalf("set made of %q the text %q, which cannot be read: %v", text, set, err)
		}
		if v, ok, err := JSON(set, "m", "k"); !ok || err != nil || string(v) != `{"n":[true]}` {
			t.Fatalf("got %s, %v, %v out of %q, want what was put into %q", v, ok, err, set, text)
		}
		again, err := SetJSON(set, `{"n":[true]}`, "m", "k")
		if err != nil || string(again) != string(set) {
			t.Fatalf("setting twice made %q of %q: %v", again, set, err)
		}
		deleted, err := DeleteJSON(set, "m", "k")
		if err != nil {
			t.Fatal(err)
		}
		if v, ok, err := JSON(deleted, "m", "k"); ok || err != nil {
			t.Fatalf("after deleting, %q still has %s: %v", deleted, v, err)
		}
		if siblings, _, _ := JSON([]byte(text), "m"); parent && !had && string(siblings) != "{}" && string(deleted) != text {
			t.Fatalf("set and delete made %q of %q", deleted, text)
		}
	})
}
