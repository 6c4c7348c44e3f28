package trust_test

import (
	"os"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestTrust(t *testing.T) {
	t.Parallel()
	beside := clitest.Trusted().Keys[2]
	beside.Holders = []mesh.Key{beside.Pubkey, clitest.Key("0b0b")}
	several := mesh.Errorf(mesh.AmbiguousTarget, "bob can mean 2 keys").With(mesh.Details{Candidates: []mesh.Candidate{
		{Name: "bob", Key: clitest.Key("bob"), Mesh: "team", Online: true}, {Name: "bob", Key: clitest.Key("0b0b"), Mesh: "team"},
	}})
	clitest.Verbs(t, cli.Run, "trust", []clitest.Line{
		{Args: "trust list"},
		{Args: "trust list --json=name,level"},
		{Args: "trust list", Given: clitest.Answer(localapi.Trust.Route, localapi.TrustAnswer{})},
		{Args: "trust list --mesh play", Given: clitest.Answer(localapi.Trust.Route, mesh.Errorf(mesh.MeshNotAttached, "no mesh \"play\" is joined"))},
		{Args: "trust accept bob --unattended"},
		{Args: "trust accept bob --json"},
		{Args: "trust accept bob", Given: clitest.Answer(localapi.TrustAccept.Route, localapi.TrustedAnswer{Key: beside})},
		{Args: "trust accept bob", Given: clitest.Answer(localapi.TrustAccept.Route, several)},
		{Args: "trust accept bob", Given: clitest.Answer(localapi.TrustAccept.Route, mesh.Errorf(mesh.HumanOnly, "this is for the human outside the session"))},
		{Args: "trust accept"},
		{Args: "trust accept a b"},
		{Args: "trust reject carl"},
		{Args: "trust reject carl --json"},
		{Args: "trust"},
		{Args: "trust acept bob"},
	})
}
