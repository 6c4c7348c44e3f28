package cli

import (
	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/cli/term"
)

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this program",
		Args: a.noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := buildinfo.Read()
			v := versionView{newHeader(), b.Version, b.Commit, b.Time}
			return a.print(v, func(s term.Stream) { s.Line("%s", "claudemesh v"+trimV(b.Version)) })
		},
	}
}

// versionView is the JSON of version.
type versionView struct {
	header
	Version string `json:"version"`
	Commit  string `json:"commit,omitzero"`
	Time    string `json:"time,omitzero"`
}

// versionLine is what --version prints (cli 3).
func versionLine() string { return "  claudemesh v" + trimV(buildinfo.Version()) + "\n" }

func trimV(version string) string {
	if len(version) > 1 && version[0] == 'v' {
		return version[1:]
	}
	return version
}
