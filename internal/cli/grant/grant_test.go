package grant_test

import (
	"os"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestGrant(t *testing.T) {
	t.Parallel()
	answer := func(a localapi.GrantAnswer) func(*clitest.World) { return clitest.Answer(localapi.Grant.Route, a) }
	blocked := localapi.GrantAnswer{Mesh: "team", Peer: "bob@laptop", Pubkey: clitest.Key("bob"), Caps: []mesh.Cap{}}
	unblocked := localapi.GrantAnswer{Mesh: "team", Pubkey: clitest.Key("bob"), Caps: mesh.DefaultCaps.List(), Default: true, BrokerTold: true}
	clitest.Verbs(t, cli.Run, "grant", []clitest.Line{
		{Args: "grant bob file-read dm dm"},
		{Args: "grant bob all --mesh team --json"},
		{Args: "grant bob"},
		{Args: "grant"},
		{Args: "grant bob dm fly"},
		{Args: "revoke bob broadcast"},
		{Args: "revoke bob all", Given: answer(blocked)},
		{Args: "block bob", Given: answer(blocked)},
		{Args: "block bob --json", Given: answer(blocked)},
		{Args: "block bob dm"},
		{Args: "block zoe", Given: clitest.Answer(localapi.Grant.Route, mesh.Errorf(mesh.TargetNotFound, "no peer \"zoe\" in team"))},
		{Args: "unblock bob", Given: answer(unblocked)},
		{Args: "grants"},
		{Args: "grants --json"},
		{Args: "grants", Given: clitest.Answer(localapi.Grants.Route, localapi.GrantsAnswer{Mesh: "team"})},
	})
}
