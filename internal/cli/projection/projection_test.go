package projection

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSet(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"true": "true", "false": "false", "a": "a", "a,b": "a,b", " a , b ": "a,b", "a,b,a": "a,b", "displayName,seen_at": "displayName,seen_at",
	} {
		f := Fields{On: true, names: []string{"old"}}
		if err := f.Set(text); err != nil || f.String() != want || f.On != (text != "false") {
			t.Errorf("got %s, on %t and %v for %q, want %s", f.String(), f.On, err, text, want)
		}
	}
	for _, text := range []string{"", ",", "a,", "a b", `a"b`, "a-b", "ä", "a\nb"} {
		var f Fields
		if err := f.Set(text); err == nil {
			t.Errorf("got %q taken, want it refused", text)
		}
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ data, names, want string }{
		{`[{"a":1,"b":{"z":1,"a":2}},{"b":3}]`, "b,a", `[{"b":{"z":1,"a":2},"a":1},{"b":3}]`},
		{`[{"displayName":"x"}]`, "name", `[{"name":"x"}]`},
		{`[{"displayName":"x","name":"y"}]`, "name", `[{"name":"y"}]`},
		{`[{"mesh":"m","more":1,"peers":[{"a":1,"b":2}]}]`, "b", `[{"mesh":"m","peers":[{"b":2}]}]`},
		{`{"schema_version":"1.0","items":[{"a":1,"b":2}]}`, "a,nothing", `{"schema_version":"1.0","items":[{"a":1}]}`},
		{`{"schema_version":"1.0","ok":true,"a":9007199254740993}`, "a,ok", `{"schema_version":"1.0","a":9007199254740993,"ok":true}`},
		{`{"schema_version":"1.0","ok":true}`, "ok,schema_version", `{"schema_version":"1.0","ok":true}`},
		{`{"schema_version":"1.0","peers":"none"}`, "peers", `{"schema_version":"1.0","peers":"none"}`},
		{`[]`, "a", `[]`}, {`[1,"x",null]`, "a", `[1,"x",null]`},
	} {
		var f Fields
		if err := f.Set(tc.names); err != nil {
			t.Fatal(err)
		}
		got, err := f.Apply([]byte(tc.data))
		if err != nil || compact(string(got)) != tc.want {
			t.Errorf("got %s and %v for %s of %s, want %s", got, err, tc.names, tc.data, tc.want)
		}
	}
	all := Fields{On: true}
	if got, err := all.Apply([]byte(`{"as": "it is"}`)); err != nil || string(got) != `{"as": "it is"}` {
		t.Errorf("got %s and %v without a list, want the same bytes", got, err)
	}
}

func compact(text string) string {
	return strings.NewReplacer("\n", "", "  ", "", ": ", ":").Replace(text)
}

// FuzzEscape: what is written decodes to what was meant, and holds nothing that a terminal could obey.
func FuzzEscape(f *testing.F) {
	for _, seed := range []string{"", "plain", "é文🙂", "\u202e\u2066", "\u009b31m\u0085\x7f", "\U000e0041", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		data, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var want, got string
		escaped := Escape(data)
		if json.Unmarshal(data, &want) != nil || json.Unmarshal(escaped, &got) != nil || got != want {
			t.Errorf("got %q of %q, want the same text", got, want)
		}
		for _, r := range string(escaped) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r >= 0xe0000 && r <= 0xe007f {
				t.Errorf("got %U in %q", r, escaped)
			}
		}
	})
}
