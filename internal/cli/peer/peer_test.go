package peer_test

import (
	"os"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestPeers(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, cli.Run, "peers", []clitest.Line{
		{Args: "peers"},
		{Args: "peer list --all --offline --mesh team"},
		{Args: "peers --json"},
		{Args: "peers --json name,status,nothing"},
		{Args: "peers", Given: clitest.Answer(localapi.Peers.Route, severalRosters())},
		{Args: "peers --json=displayName", Given: clitest.Answer(localapi.Peers.Route, severalRosters())},
		{Args: "peers", Given: clitest.Answer(localapi.Peers.Route, localapi.PeersAnswer{})},
		{Args: "peers --json", Given: clitest.Answer(localapi.Peers.Route, localapi.PeersAnswer{})},
		{Args: "peers", Given: clitest.Answer(localapi.Peers.Route, bannedRoster())},
		{Args: "peers --json=name", Given: clitest.Answer(localapi.Peers.Route, bannedRoster())},
		{Args: "peers --mesh nowhere", Given: clitest.Answer(localapi.Peers.Route, mesh.Errorf(mesh.MeshNotAttached, "nowhere is not joined").With(mesh.Details{Attached: []string{"research", "team"}}))},
		{Args: "peer"},
		{Args: "peer lits"},
		{Args: "peer lits --offline"},
	})
}

func TestVerify(t *testing.T) {
	t.Parallel()
	nobody := mesh.Errorf(mesh.TargetNotFound, "no key of \"zoe\" was ever met")
	clitest.Verbs(t, cli.Run, "verify", []clitest.Line{
		{Args: "verify bob"},
		{Args: "verify bob --qr"},
		{Args: "peer verify --mesh team --legacy --json"},
		{Args: "verify zoe", Given: clitest.Answer(localapi.Verify.Route, nobody)},
		{Args: "verify", Given: clitest.Answer(localapi.Verify.Route, localapi.VerifyAnswer{})},
		{Args: "verify a b"},
	})
}

// The stream of a watch ends in the tests; in life it goes on until Ctrl-C.
func TestWatch(t *testing.T) {
	t.Parallel()
	const row = `"peer":{"pubkey":"aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899","memberPubkey":"","displayName":"api","status":"idle","summary":"at it",` +
		`"groups":[],"sessionId":"","connectedAt":"","cwd":"","peerRole":"session","mesh":"team","isSelf":false,"isThisSession":false,"verified":false}`
	stream := clitest.Stream(": connected\n\n")
	for _, change := range []string{
		`"change":"mesh","mesh":"team","state":{"mesh":"team","status":"open","ok":true}`, `"change":"here","mesh":"team",` + row, `"change":"ready"`,
		`"change":"left","mesh":"team",` + row,
	} {
		stream += clitest.Stream("event: peers\ndata: {\"ts\":\"noon\"," + change + "}\n\n")
	}
	given := clitest.Answer(localapi.PeersWatch.Route, stream)
	restarted := func(w *clitest.World) {
		given(w)
		pid := 0
		w.Daemon.Answers[localapi.Health.Route] = func() any { // the second is another daemon, which stays
			pid = min(pid+1, 2)
			return localapi.HealthAnswer{OK: true, PID: pid}
		}
	}
	clitest.Verbs(t, cli.Run, "watch", []clitest.Line{
		{Args: "peers --watch", Given: given},
		{Args: "peers --watch --json --mesh team", Given: given},
		{Args: "peers --watch --json=change,mesh", Given: given},
		{Args: "peers --watch --json=change,mesh", Given: restarted},
		{Args: "peers --watch --no-daemon"},
	})
}

func TestWhoami(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, cli.Run, "whoami", []clitest.Line{
		{Args: "whoami"},
		{Args: "whoami --json"},
		{Args: "whoami", Given: clitest.Answer(localapi.Whoami.Route, localapi.WhoamiAnswer{User: "anna", ConfigPath: "/home/anna/.claudemesh/config.json"})},
		{Args: "whoami --json", Given: clitest.Answer(localapi.Whoami.Route, localapi.WhoamiAnswer{User: "anna", ConfigPath: "/home/anna/.claudemesh/config.json"})},
	})
}

// bannedRoster is of a mesh that does not hear its member any more.
func bannedRoster() localapi.PeersAnswer {
	answer := clitest.Peers()
	answer.Peers = answer.Peers[:1]
	answer.Meshes[0] = localapi.MeshState{Mesh: "team", Status: "banned", Code: mesh.Revoked, Detail: "you are banned from team"}
	return answer
}

// severalRosters has a mesh that does not answer, a daemon among the peers, and one who is offline for long.
func severalRosters() localapi.PeersAnswer {
	answer := clitest.Peers()
	daemon := answer.Peers[3]
	daemon.DisplayName, daemon.PeerRole, daemon.Groups, daemon.Summary, daemon.Channel = "bob@laptop", mesh.ControlPlane, nil, nil, "claudemesh-daemon"
	known := answer.Peers[4]
	known.Mesh, known.Online, known.Blocked = "research", new(false), true
	me := answer.Peers[4]
	me.Mesh, me.IsSelf, me.Verified, me.DisplayName = "research", true, true, "anna@laptop"
	proved := answer.Peers[2]
	proved.Mesh, proved.Verified, proved.LastSeenAt, proved.DisplayName = "research", true, "2026-01-01T00:00:00Z", "文書係"
	answer.Peers = append(answer.Peers, daemon, known, me, proved)
	answer.Meshes = append(answer.Meshes, localapi.MeshState{Mesh: "research", Status: "reconnecting"}, localapi.MeshState{Mesh: "empty", Status: "open", OK: true})
	return answer
}
