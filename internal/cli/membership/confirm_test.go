package membership

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestConfirm: what nothing brings back takes the name of the mesh, typed on a terminal.
func TestConfirm(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		typed string
		tty   bool
		code  mesh.Code // empty: confirmed
	}{
		{"team\n", true, ""}, {"  team \r\n", true, ""}, {"team", true, ""}, {"y\n", true, mesh.Cancelled}, {"Team\n", true, mesh.Cancelled},
		{"", true, mesh.Cancelled}, {"\nteam\n", true, mesh.Cancelled}, {"team\n", false, mesh.Usage},
		{strings.Repeat("x", 1<<20), true, mesh.Cancelled},
	} {
		var out, diag bytes.Buffer
		a := shell.New(shell.System{
			Stdin: strings.NewReader(tc.typed), Stdout: &out, Stderr: &diag, Lookup: func(string) (string, bool) { return "", false },
		})
		a.Err.TTY = tc.tty
		err := confirm(&cobra.Command{Use: "delete"}, a, "team")
		if tc.code == "" && err != nil || tc.code != "" && !mesh.IsCode(err, tc.code) {
			t.Errorf("%.20q: got %v, want %q", tc.typed, err, tc.code)
		}
		if out.Len() > 0 || strings.Contains(diag.String(), "type team") != tc.tty {
			t.Errorf("%.20q: got %q and %q, want the question on standard error alone", tc.typed, &out, &diag)
		}
	}
}
