package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
)

func newVersion(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program",
		Args: a.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := buildinfo.Read()
			v := versionView{shell.NewHeader(), b.Version, b.Commit, b.Time}
			return a.Print(v, func(s term.Stream) { s.Line("%s", "claudemesh v"+trimV(b.Version)) })
		},
	}
}

// versionView is the JSON of version.
type versionView struct {
	shell.Header
	Version string `json:"version"`
	Commit  string `json:"commit,omitzero"`
	Time    string `json:"time,omitzero"`
}

// asksVersion reports whether only the version is wanted, which is then printed before any verb is made (decision
// 0001): the bare verb, or the flag anywhere. Help goes before it (cli 2.1).
func asksVersion(args []string) bool {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		return false
	}
	return slices.Contains(args, "--version") || slices.Contains(args, "-V") || len(args) == 1 && args[0] == "version"
}

// versionLine is what asksVersion is answered with (cli 3).
func versionLine() string { return "  claudemesh v" + trimV(buildinfo.Version()) + "\n" }

func trimV(version string) string {
	if len(version) > 1 && version[0] == 'v' {
		return version[1:]
	}
	return version
}
