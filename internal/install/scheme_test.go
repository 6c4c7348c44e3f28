package install

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestSchemeOnEachSystem holds what is written and told on each system: words of commands, no line of a shell.
func TestSchemeOnEachSystem(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, system := range []string{"linux", "darwin", "windows"} {
		s := Scheme{System: system, Home: "/home/an na", Program: "/opt/claude mesh/claudemesh"}
		path, text := s.File()
		commands, err := s.Register()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "== %s\n-- %s --\n%s", system, filepath.ToSlash(path), text)
		for _, c := range commands {
			fmt.Fprintf(&all, "register %q\n", c)
		}
		for _, c := range s.Forget() {
			fmt.Fprintf(&all, "forget %q\n", c)
		}
	}
	golden := filepath.Join("testdata", "scheme.golden")
	if *update {
		write(t, golden, all.String())
	}
	if diff := cmp.Diff(read(t, golden), all.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, s := range []Scheme{{System: "linux", Program: "/opt/$(reboot)/x"}, {System: "linux", Program: `/opt/a"b`}, {System: "plan9"}} {
		if _, err := s.Register(); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%+v: got %v, want %s", s, err, mesh.BadRequest)
		}
	}
}

// TestCLILesson225LinksOfPages: nothing of a link but a code reaches anything.
func TestCLILesson225LinksOfPages(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"claudemesh://mesh.example.com/i/7dQm4xZt9BcA":                                    "https://mesh.example.com/i/7dQm4xZt9BcA",
		"claudemesh://mesh.example.com:8443/i/7dQm4xZt9BcA#q0Zr2v8mT5Wc1yN4kLxU3g.ab_c-1": "https://mesh.example.com:8443/i/7dQm4xZt9BcA#q0Zr2v8mT5Wc1yN4kLxU3g.ab_c-1",
		"claudemesh://127.0.0.1:7900/i/7dQm4xZt9BcA":                                      "http://127.0.0.1:7900/i/7dQm4xZt9BcA",
	} {
		if got, _, err := ParseScheme(text); err != nil || got != want {
			t.Errorf("got %q, %v of %q, want %q", got, err, text, want)
		}
	}
	const good = "claudemesh://mesh.example.com/i/"
	for _, text := range []string{
		"", "claudemesh://", "https://mesh.example.com/i/abc", "claudemesh://i/abc", "CLAUDEMESH://h/i/abc", good, good + "a b", good + "abc\"; do shell script \"reboot\"",
		good + "$(reboot)", good + "`reboot`", good + "abc'", good + "abc\n", good + "abc%20", good + "abc?x=1", good + "abc/..", good + "ab\u0441", good + "abc#", good + "abc#a.", good + "abc#a.b.c",
		good + "abc&calc", good + "--yes --x=", "claudemesh://user@mesh.example.com/i/abc", "claudemesh://h:80x/i/abc", "claudemesh://h:/i/abc", "claudemesh:///i/abc",
		"claudemesh://[::1]/i/abc", good + strings.Repeat("a", maxSchemeBytes),
	} {
		if got, _, err := ParseScheme(text); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("got %q, %v of %q, want it refused", got, err, text)
		}
	}
}
