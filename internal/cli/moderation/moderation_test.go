package moderation_test

import (
	"os"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestModeration(t *testing.T) {
	t.Parallel()
	answer := func(a localapi.ModerateAnswer) func(*clitest.World) {
		return clitest.Answer(localapi.Moderate.Route, a)
	}
	banned := localapi.ModerateAnswer{Mesh: "team", Verb: "ban", Affected: []string{"bob@laptop"}, Pubkey: clitest.Key("bob"), OpenInvites: 2}
	unbanned := localapi.ModerateAnswer{Mesh: "team", Verb: "unban", Affected: []string{"bob@laptop"}, Pubkey: clitest.Key("bob")}
	none := localapi.ModerateAnswer{Mesh: "team", Verb: "kick", Affected: []string{}}
	daemons := localapi.ModerateAnswer{Mesh: "team", Verb: "kick", Affected: []string{}, SkippedControlPlane: []string{"bob@laptop"}}
	two := mesh.Errorf(mesh.AmbiguousTarget, "docs can mean 2 peers").With(mesh.Details{Candidates: []mesh.Candidate{
		{Name: "docs", Key: clitest.Key("one"), Online: true}, {Name: "docs", Key: clitest.Key("two")},
	}})
	clitest.Verbs(t, cli.Run, "moderation", []clitest.Line{
		{Args: "kick docs --yes"},
		{Args: "peer kick docs -y --mesh team --json"},
		{Args: "kick --stale 5m --yes"},
		{Args: "kick --all --yes", Given: answer(none)},
		{Args: "kick bob@laptop --yes", Given: answer(daemons)},
		{Args: "kick docs --yes", Given: clitest.Answer(localapi.Moderate.Route, two)},
		{Args: "kick docs"},
		{Args: "kick"},
		{Args: "kick docs --all --yes"},
		{Args: "kick --stale 5ms --yes"},
		{Args: "kick docs build --yes"},
		{Args: "disconnect docs", Given: answer(localapi.ModerateAnswer{Mesh: "team", Verb: "disconnect", Affected: []string{"docs"}})},
		{Args: "ban bob --reason floods␣the␣mesh --yes", Given: answer(banned)},
		{Args: "ban bob --yes --json", Given: answer(banned)},
		{Args: "ban bob"},
		{Args: "ban", Given: answer(banned)},
		{Args: "ban anna --yes", Given: clitest.Answer(localapi.Moderate.Route, mesh.Errorf(mesh.Forbidden, "anna is the owner of the mesh"))},
		{Args: "ban bob --yes", Given: clitest.Answer(localapi.Moderate.Route, mesh.Errorf(mesh.MeshRequired, "several meshes are joined: say which one is meant"))},
		{Args: "ban bob --yes", Given: clitest.Answer(localapi.Moderate.Route, mesh.Errorf(mesh.HumanOnly, "this is for the human outside the session"))},
		{Args: "unban bob", Given: answer(unbanned)},
		{Args: "peer unban bob --json", Given: answer(unbanned)},
		{Args: "bans"},
		{Args: "bans --json=name,pubkey"},
		{Args: "peer bans", Given: clitest.Answer(localapi.Bans.Route, localapi.BansAnswer{Mesh: "team"})},
	})
}
