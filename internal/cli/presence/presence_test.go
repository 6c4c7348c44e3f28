package presence_test

import (
	"os"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestPresence(t *testing.T) {
	t.Parallel()
	none := clitest.Answer(localapi.ProfileSet.Route, localapi.ProfileAnswer{OK: true, Applied: []string{"status"}, Meshes: []string{}})
	clitest.Verbs(t, cli.Run, "presence", []clitest.Line{
		{Args: "status set dnd"},
		{Args: "status set working --mesh team --json"},
		{Args: "status set away"},
		{Args: "status set"},
		{Args: "status"},
		{Args: "status set idle", Given: none},
		{Args: "summary moving the ledger"},
		{Args: "summary moving --json"},
		{Args: "summary"},
		{Args: "visible no"},
		{Args: "visible no", Given: clitest.Answer(localapi.ProfileSet.Route, localapi.ProfileAnswer{OK: true, Meshes: []string{"team"}, Apart: 2})},
		{Args: "summary at home", Given: clitest.Answer(localapi.ProfileSet.Route, localapi.ProfileAnswer{OK: true, Meshes: []string{"team"}, Apart: 1})},
		{Args: "visible y --json"},
		{Args: "visible perhaps"},
		{Args: "visible 1", Given: clitest.Answer(localapi.ProfileSet.Route, mesh.Errorf(mesh.RateLimited, "hidden and shown too often: wait a moment"))},
		{Args: "profile visible no"},
		{Args: "profile status set idle"},
		{Args: "profile summary x"},
	})
}

func TestProfile(t *testing.T) {
	t.Parallel()
	one := localapi.ProfilesAnswer{Profiles: clitest.Profiles().Profiles[:1]}
	clitest.Verbs(t, cli.Run, "profile", []clitest.Line{
		{Args: "profile"},
		{Args: "profile --json"},
		{Args: "profile --json", Given: clitest.Answer(localapi.Profiles.Route, one)},
		{Args: "profile --json=summary,status", Given: clitest.Answer(localapi.Profiles.Route, one)},
		{Args: "profile", Given: clitest.Answer(localapi.Profiles.Route, localapi.ProfilesAnswer{})},
		{Args: "profile --title keeper --capabilities go,sql --mesh team"},
		{Args: "profile --bio= --json"},
		{Args: "profile --capabilities="},
		{Args: "profile --name api --role-tag reviewer --groups @backend:lead,ops --message-mode inbox --json"},
		{Args: "profile --name= --groups= --role-tag=", Given: clitest.Answer(localapi.ProfileSet.Route, localapi.ProfileAnswer{
			OK: true, Applied: []string{"groups", "name", "role"}, Meshes: []string{"team"},
		})},
		{Args: "profile --groups @@"},
		{Args: "profile --message-mode loud"},
		{Args: "profile --name api", Given: clitest.Answer(localapi.ProfileSet.Route, mesh.Errorf(mesh.SessionUnknown, "name, role and message mode are those of a session, and this is none"))},
		{Args: "profile nonsense"},
	})
}

func TestMesh(t *testing.T) {
	t.Parallel()
	info, pings, counted := clitest.Info(), clitest.Pings(), clitest.Peers()
	counted.Peers[0].Stats = &protocol.Stats{MessagesIn: 12, MessagesOut: 3, Uptime: 7300}
	counted.Peers[3].Stats = &protocol.Stats{ToolCalls: 99, Errors: 1}
	oneInfo := clitest.Answer(localapi.Info.Route, localapi.InfoAnswer{Meshes: info.Meshes[:1]})
	clitest.Verbs(t, cli.Run, "mesh", []clitest.Line{
		{Args: "info"},
		{Args: "info --json"},
		{Args: "info --mesh team --json", Given: oneInfo},
		{Args: "info", Given: clitest.Answer(localapi.Info.Route, localapi.InfoAnswer{})},
		{Args: "stats", Given: clitest.Answer(localapi.Peers.Route, counted)},
		{Args: "stats --mesh team --json", Given: clitest.Answer(localapi.Peers.Route, counted)},
		{Args: "stats"},
		{Args: "stats", Given: clitest.Answer(localapi.Peers.Route, localapi.PeersAnswer{})},
		{Args: "ping"},
		{Args: "ping --json"},
		{Args: "ping --mesh team --json", Given: clitest.Answer(localapi.PingBrokers.Route, localapi.PingAnswer{Meshes: pings.Meshes[:1]})},
		{Args: "ping", Given: clitest.Answer(localapi.PingBrokers.Route, localapi.PingAnswer{Meshes: pings.Meshes[1:]})},
		{Args: "ping", Given: clitest.Answer(localapi.PingBrokers.Route, localapi.PingAnswer{Meshes: []localapi.Ping{
			{Mesh: "team", Status: "reconnecting", Error: "what answers there has another key", Code: mesh.PinMismatch},
		}})},
		{Args: "ping --json", Given: clitest.Answer(localapi.PingBrokers.Route, localapi.PingAnswer{})},
	})
}

func TestOverview(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, cli.Run, "overview", []clitest.Line{
		{Args: "me"},
		{Args: "workspace overview --json"},
		{Args: "me --json=totals"},
		{Args: "me", Given: clitest.Answer(localapi.Whoami.Route, localapi.WhoamiAnswer{User: "anna"})},
		{Args: "me", Given: clitest.Answer(localapi.Peers.Route, mesh.Errorf(mesh.Internal, "no luck"))},
		{Args: "me too"},
	})
}
