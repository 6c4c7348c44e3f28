package group_test

import (
	"os"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestGroup(t *testing.T) {
	t.Parallel()
	away := localapi.GroupsAnswer{
		Groups: []localapi.Group{{Name: "ops", Mesh: "research", Joined: true, Members: []string{}}},
		Meshes: []localapi.MeshState{{Mesh: "research", Status: "reconnecting"}, {Mesh: "team", Status: "open", OK: true}},
	}
	older := localapi.GroupsAnswer{
		Groups: away.Groups, Meshes: []localapi.MeshState{{Mesh: "research", Status: "open", Code: mesh.BrokerTooOld, Detail: "this broker does not know list_groups"}},
	}
	many := clitest.Groups()
	many.Groups[0].Members, many.Groups[0].Count = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}, 70
	clitest.Verbs(t, cli.Run, "group", []clitest.Line{
		{Args: "group join @backend --role lead"},
		{Args: "group join backend --mesh team --json"},
		{Args: "group join"},
		{Args: "group join @-x"},
		{Args: "group join a b"},
		{Args: "group join @ops", Given: clitest.Answer(localapi.GroupJoin.Route, mesh.Errorf(mesh.NothingJoined, "no mesh is joined"))},
		{Args: "group leave @backend"},
		{Args: "group leave @backend --json"},
		{Args: "group list"},
		{Args: "groups list --json=name,members"},
		{Args: "group list", Given: clitest.Answer(localapi.Groups.Route, away)},
		{Args: "group list", Given: clitest.Answer(localapi.Groups.Route, older)},
		{Args: "group list", Given: clitest.Answer(localapi.Groups.Route, many)},
		{Args: "group list", Given: clitest.Answer(localapi.Groups.Route, localapi.GroupsAnswer{})},
		{Args: "group"},
		{Args: "groups jion"},
	})
}
