package shell

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestConfirm: what others feel, and what is gone for good, takes a yes on a terminal, and a flag elsewhere.
func TestConfirm(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		typed    string
		tty, yes bool
		code     mesh.Code // empty: confirmed
	}{
		{"y\n", true, false, ""}, {" YES \r\n", true, false, ""}, {"y", true, false, ""}, {"\n", true, false, mesh.Cancelled},
		{"n\ny\n", true, false, mesh.Cancelled}, {"", true, false, mesh.Cancelled}, {"yo\n", true, false, mesh.Cancelled},
		{"y\n", false, false, mesh.Usage}, {"", false, true, ""}, {"n\n", true, true, ""},
		{strings.Repeat("y", 1<<20), true, false, mesh.Cancelled},
	} {
		var out, diag bytes.Buffer
		a := New(System{
			Stdin: strings.NewReader(tc.typed), Stdout: &out, Stderr: &diag, Lookup: func(string) (string, bool) { return "", false },
		})
		a.Err.TTY, a.Flags.Yes = tc.tty, tc.yes
		err := Confirm(&cobra.Command{Use: "ban"}, a, "this bans bob")
		if tc.code == "" && err != nil || tc.code != "" && !mesh.IsCode(err, tc.code) {
			t.Errorf("%.20q: got %v, want %q", tc.typed, err, tc.code)
		}
		if out.Len() > 0 || strings.Contains(diag.String(), "this bans bob") != (tc.tty && !tc.yes) {
			t.Errorf("%.20q: got %q and %q, want the question on standard error alone", tc.typed, &out, &diag)
		}
	}
}
