package mesh_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("A3", 32)
	tests := []struct {
		in   string
		want mesh.Target
	}{
		{"#general", mesh.Target{Kind: mesh.ToTopic, Text: "#general"}},
		{"#tpc_0123456789abcdefghij", mesh.Target{Kind: mesh.ToTopic, Text: "#tpc_0123456789abcdefghij"}},
		{" @ops ", mesh.Target{Kind: mesh.ToGroup, Text: "@ops"}},
		{"@a/b", mesh.Target{Kind: mesh.ToGroup, Text: "@a/b"}},
		{"@all", mesh.Target{Kind: mesh.ToGroup, Text: "@all"}},
		{"*", mesh.Target{Kind: mesh.ToEveryone, Text: "*"}},
		{key, mesh.Target{Kind: mesh.ToKey, Text: strings.ToLower(key)}},
		{key[:63], mesh.Target{Kind: mesh.ToPrefix, Text: strings.ToLower(key[:63])}},
		{"DeadBeefDeadBeef", mesh.Target{Kind: mesh.ToPrefix, Text: "deadbeefdeadbeef"}},
		{"deadbeefdeadbee", mesh.Target{Kind: mesh.ToName, Text: "deadbeefdeadbee"}},
		{key + "0", mesh.Target{Kind: mesh.ToName, Text: key + "0"}},
		{"Ann", mesh.Target{Kind: mesh.ToName, Text: "Ann"}},
		{"**", mesh.Target{Kind: mesh.ToName, Text: "**"}},
		{"--help", mesh.Target{Kind: mesh.ToName, Text: "--help"}},
		{"山田 太郎", mesh.Target{Kind: mesh.ToName, Text: "山田 太郎"}},
		{strings.Repeat("n", 256), mesh.Target{Kind: mesh.ToName, Text: strings.Repeat("n", 256)}},
	}
	for _, tt := range tests {
		got, err := mesh.ParseTarget(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("%q: got %+v, %v, want %+v", tt.in, got, err, tt.want)
		}
		if want := tt.want.Kind == mesh.ToKey || tt.want.Kind == mesh.ToPrefix || tt.want.Kind == mesh.ToName; got.Direct() != want {
			t.Errorf("%q: got direct %v, want %v", tt.in, got.Direct(), want)
		}
	}
	for _, in := range []string{
		"", " ", "@", "#", "@*", " @* ", "a\x00b", "a\nb", "a\x1b[0m", "a\u202eb", "@a\u200bb", "#\ufeffx", "a\xff", strings.Repeat("n", 257),
	} {
		if got, err := mesh.ParseTarget(in); got != (mesh.Target{}) || !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%q: got %+v, %v, want %s", in, got, err, mesh.BadRequest)
		}
	}
}

// What goes to many is fingerprinted as a topic, and nothing else is (daemon 11.2).
func TestTargetsAgreeWithTheVectorsOfFingerprints(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../seal/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			To   string `json:"to"`
			Kind string `json:"destination_kind"`
			Ref  string `json:"destination_ref"`
		} `json:"destination_mapping"`
	}
	if err := json.Unmarshal(raw, &file); err != nil || len(file.Vectors) < 6 {
		t.Fatalf("got %d vectors, %v", len(file.Vectors), err)
	}
	for _, v := range file.Vectors {
		got, err := mesh.ParseTarget(v.To)
		if v.Kind == "topic" && v.Ref == "*" && strings.TrimSpace(v.To) != "*" {
			if err == nil {
				t.Errorf("%q: got %+v, want it refused: it shares the fingerprint of everyone", v.To, got)
			}
			continue
		}
		if err != nil || !sameDestination(got, v.Kind, v.Ref) {
			t.Errorf("%q: got %+v, %v, want %s %s", v.To, got, err, v.Kind, v.Ref)
		}
	}
}

// sameDestination holds a target against what its fingerprint says of it.
func sameDestination(t mesh.Target, kind, ref string) bool {
	switch t.Kind {
	case mesh.ToGroup:
		return kind == "topic" && t.Text == "@"+ref && ref != "*"
	case mesh.ToEveryone:
		return kind == "topic" && ref == "*"
	case mesh.ToKey, mesh.ToPrefix:
		return kind == "dm" && strings.EqualFold(t.Text, ref)
	}
	return kind == "dm" && t.Text == ref
}

// FuzzTarget reads any address: what is taken reads back as the same, and is fingerprinted as what it is.
func FuzzTarget(f *testing.F) {
	for _, in := range []string{"ann", " @ops", "@*", "*", "#x", "@", strings.Repeat("ab", 32), strings.Repeat("AB", 8), "a\x00", "\u202e", "@all", "\u00a0*\u00a0"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := mesh.ParseTarget(in)
		if err != nil {
			if !mesh.IsCode(err, mesh.BadRequest) || got != (mesh.Target{}) {
				t.Errorf("%q: got %+v, %v, want %s", in, got, err, mesh.BadRequest)
			}
			return
		}
		if again, err := mesh.ParseTarget(got.Text); err != nil || again != got {
			t.Errorf("%q: got %+v, then %+v, %v", in, got, again, err)
		}
		if d := seal.ParseDestination(in); !sameDestination(got, d.Kind, d.Ref) {
			t.Errorf("%q: got %+v, and the fingerprint is of %+v", in, got, d)
		}
		if len(got.Text) > 256 || got.Text == "" || strings.ContainsFunc(got.Text, unicode.IsControl) {
			t.Errorf("%q: got %+v", in, got)
		}
	})
}
