package statusline_test

import (
	"os"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

// TestCLILesson212StatusLine: what it shows is the daemon's, and whatever happens it succeeds.
func TestCLILesson212StatusLine(t *testing.T) {
	t.Parallel()
	many := localapi.StatusLineAnswer{Mode: "off", Asked: 2}
	for _, slug := range []string{"a", "b", "c", "d", "e"} {
		many.Meshes = append(many.Meshes, localapi.StatusLineMesh{Mesh: slug, Status: "open", Online: 1, Peers: 1})
	}
	clitest.Verbs(t, cli.Run, "statusline", []clitest.Line{
		{Args: "status-line"},
		{Args: "status-line --json"},
		{Args: "status-line of whatever"},
		{Args: "status-line", Given: clitest.Answer(localapi.StatusLine.Route, many)},
		{Args: "status-line", Given: clitest.Answer(localapi.StatusLine.Route, localapi.StatusLineAnswer{})},
		{Args: "status-line", Given: clitest.Answer(localapi.StatusLine.Route, mesh.Errorf(mesh.Internal, "no luck"))},
	})
	w := clitest.New(t, cli.Run)
	if r := w.Run("status-line"); r.Exit != mesh.ExitOK || r.Out != "◇ idle" || r.Err != "" || w.DaemonLog() != "" {
		t.Errorf("without a daemon: got exit %d, %q, %q and %q started, want it idle", r.Exit, r.Out, r.Err, w.DaemonLog())
	}
}
