package shell

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// TestGuardAsks: on a terminal a policy asks once, and the verb does not ask again.
func TestGuardAsks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		typed string
		tty   bool
		code  mesh.Code // empty: it runs
	}{
		{"y\n", true, ""}, {"n\n", true, mesh.PolicyDenied}, {"", true, mesh.PolicyDenied}, {"y\n", false, mesh.PolicyDenied},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte("default: prompt\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var diag bytes.Buffer
		a := New(System{
			Stdin: strings.NewReader(tc.typed), Stdout: &diag, Stderr: &diag, Lookup: func(string) (string, bool) { return "", false }, Now: time.Now,
		})
		a.Home, a.Err.TTY, a.Answers = paths.At(dir), true, tc.tty
		cmd := &cobra.Command{Use: "ban", RunE: func(cmd *cobra.Command, _ []string) error {
			if err := guard(cmd, a); err != nil {
				return err
			}
			return Confirm(cmd, a, "this bans bob")
		}}
		root := &cobra.Command{Use: "claudemesh", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(cmd)
		root.SetArgs([]string{"ban"})
		if err := root.Execute(); tc.code == "" && err != nil || tc.code != "" && !mesh.IsCode(err, tc.code) {
			t.Errorf("%q on a terminal %v: got %v, want %q", tc.typed, tc.tty, err, tc.code)
		}
		if n := strings.Count(diag.String(), "go on?"); tc.tty && n != 1 || !tc.tty && n != 0 {
			t.Errorf("%q on a terminal %v: asked %d times", tc.typed, tc.tty, n)
		}
	}
}
