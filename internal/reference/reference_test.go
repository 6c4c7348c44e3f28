package reference

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

func TestFlatten(t *testing.T) {
	t.Parallel()
	type inner struct {
		Deep []string `json:"deep,omitzero" jsonschema:"below"`
	}
	type base struct {
		First string `json:"first"`
	}
	type sample struct {
		base
		Body  inner             `json:",embed"`
		Name  mesh.Key          `json:"name" jsonschema:"a | b"`
		Count *int              `json:"count"`
		List  []inner           `json:"list"`
		Any   wire.RawMessage   `json:"any,omitempty"`
		Map   map[string]string `json:"map"`
		Rate  float64           `json:"rate"`
		On    *bool             `json:"on,omitzero"`
	}
	want := []field{
		{"first", "string", ""},
		{"deep", "array of string, optional", "below"},
		{"name", "string", "a | b"},
		{"count", "integer or null", ""},
		{"list", "array of object", ""},
		{"list.deep", "array of string, optional", "below"},
		{"any", "any, optional", ""},
		{"map", "object of string", ""},
		{"rate", "number", ""},
		{"on", "boolean or null, optional", ""},
	}
	if diff := cmp.Diff(want, flatten(reflect.TypeFor[sample]()), cmp.AllowUnexported(field{})); diff != "" {
		t.Errorf("fields differ (-want +got):\n%s", diff)
	}
}

func TestCellsStayInTheirTable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"add --mesh <name>":         "add --mesh &lt;name>",
		"run `join <link>`, or <x>": "run `join <link>`, or &lt;x>",
		"a|b":                       `a\|b`,
	} {
		if got := prose(text); got != want {
			t.Errorf("got %q of %q, want %q", got, text, want)
		}
	}
	settings, err := Config()
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{Protocol(), LocalAPI(), Errors(), Metrics(), settings} {
		columns := 0
		for line := range strings.Lines(page) {
			n := strings.Count(line, "|") - strings.Count(line, `\|`)
			switch {
			case !strings.HasPrefix(line, "|"):
				columns = 0
			case columns == 0:
				columns = n
			case n != columns:
				t.Errorf("got %d bars in %q, want %d as in the head of its table", n, line, columns)
			}
		}
	}
}

// TestEverythingIsThere looks for each declaration on its page.
func TestEverythingIsThere(t *testing.T) {
	t.Parallel()
	frames, routes, errors := Protocol(), LocalAPI(), Errors()
	for _, e := range wire.Catalogue() {
		if !strings.Contains(frames, "\n## `"+e.Type+"`\n\n"+e.Summary) || e.Summary == "" {
			t.Errorf("got no heading with a sentence for the frame %s", e.Type)
		}
	}
	for _, e := range localapi.Catalogue() {
		if !strings.Contains(routes, "\n## `"+e.Route+"`\n\n"+e.Summary) || e.Summary == "" {
			t.Errorf("got no heading with a sentence for the route %s", e.Route)
		}
	}
	for _, r := range mesh.Codes {
		if !strings.Contains(errors, "\n| `"+string(r.Code)+"` | ") {
			t.Errorf("got no line for the code %s", r.Code)
		}
		if n := int(r.Exit); n >= len(meanings()) || meanings()[n] == "" {
			t.Errorf("got no words for the exit status %d of %s", n, r.Code)
		}
	}
	settings, err := Config()
	if err != nil {
		t.Fatal(err)
	}
	for _, explain := range []func(config.Sources) ([]config.Row, error){config.ExplainDaemon, config.ExplainBroker} {
		rows, err := explain(config.Sources{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if !strings.Contains(settings, "`"+r.Env+"`") {
				t.Errorf("got no line for %s", r.Env)
			}
		}
	}
	if !strings.HasPrefix(settings, Banner) {
		t.Error("got settings without the banner")
	}
}

// TestMetricsAreDocumented looks for each series and each bound on their page.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	page := Metrics()
	for _, m := range protocol.Metrics() {
		if !strings.Contains(page, "| `"+m.Name+"` | "+string(m.Kind)+" |") {
			t.Errorf("got no line for the series %s", m.Name)
		}
	}
	for _, r := range config.Bounds() {
		if !strings.Contains(page, "| `"+string(r.Bound)+"` |") {
			t.Errorf("got no line for the bound %s", r.Bound)
		}
	}
}
