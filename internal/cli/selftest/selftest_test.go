package selftest_test

import (
	"os"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

// TestFailures: what does not work is said, with the first step that failed, and ends with its status; a round trip that works
// is in the scripts of the whole program.
func TestFailures(t *testing.T) {
	t.Parallel()
	answers := func(w *clitest.World) {
		pings := clitest.Pings()
		pings.Meshes = pings.Meshes[:1]
		w.Daemon.Answers[localapi.PingBrokers.Route] = pings
	}
	refused := func(w *clitest.World) {
		answers(w)
		w.Daemon.Answers[localapi.SessionRegister.Route] = mesh.Errorf(mesh.Forbidden, "no more sessions")
	}
	altered := func(w *clitest.World) {
		answers(w)
		w.Daemon.Answers[localapi.SessionRegister.Route] = localapi.RegisterAnswer{OK: true, Token: "secret"}
		w.Daemon.Answers[localapi.SessionMe.Route] = localapi.Session{Sessions: []localapi.SessionMesh{{Mesh: "team", SessionPubkey: clitest.Key("session1"), Status: "open"}}}
		w.Daemon.Answers[localapi.SessionDeregister.Route] = localapi.DeregisterAnswer{OK: true}
	}
	clitest.Verbs(t, cli.Run, "selftest", []clitest.Line{
		{Args: "test"},
		{Args: "test --mesh research --json"},
		{Args: "test --mesh nowhere"},
		{Args: "test", Given: clitest.Answer(localapi.Meshes.Route, localapi.MeshesAnswer{})},
		{Args: "test", Given: clitest.Inside(t)},
	})
	for _, given := range []func(*clitest.World){refused, altered} {
		w := clitest.WithDaemon(t, cli.Run)
		given(w)
		r := w.Run("test", "--mesh", "team")
		if want := map[bool]mesh.Exit{true: mesh.ExitPermission, false: mesh.ExitInternal}[w.Daemon.Answers[localapi.SessionMe.Route] == nil]; r.Exit != want {
			t.Errorf("got exit %d and %s, want %d", r.Exit, r.Out+r.Err, want)
		}
	}
}
