package membership_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestMeshes(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, cli.Run, "mesh", []clitest.Line{
		{Args: "list"},
		{Args: "ls --json"},
		{Args: "list --json slug,status"},
		{Args: "list --mesh research"},
		{Args: "list --mesh nowhere"},
		{Args: "list", Given: clitest.Answer(localapi.Meshes.Route, localapi.MeshesAnswer{})},
		{Args: "create Team"},
		{Args: "new Team --json"},
		{Args: "create $(reboot) --name $(reboot) --slug -x"},
		{Args: "create -- -rf"},
		{Args: "create Team --token-file -", Given: func(w *clitest.World) { w.Stdin = "secret\n" }},
		{Args: "create Team --token-file -"},
		{Args: "create Team --token-file /nowhere/token"},
		{Args: "create"},
		{Args: "create Team of us"},
		{Args: "create Team", Given: clitest.Answer(localapi.MeshCreate.Route, mesh.Errorf(mesh.SlugTaken, "the name team is taken"))},
		{Args: "join https://mesh.example.com/i/7dQm4xZt9BcA#q0Zr2v8mT5Wc1yN4kLxU3g"},
		{Args: "add 7dQm4xZt9BcA --broker https://mesh.example.com --json", Given: clitest.Answer(localapi.MeshJoin.Route, localapi.MeshAnswer{Mesh: clitest.Mesh(), Unpinned: true})},
		{Args: "join 7dQm4xZt9BcA --name two\nlines", Given: clitest.Answer(localapi.MeshJoin.Route, localapi.MeshAnswer{Mesh: clitest.Mesh(), AlreadyJoined: true})},
		{Args: "join"},
		{Args: "leave team"},
		{Args: "leave team --yes --json", Given: clitest.Answer(localapi.MeshLeave.Route, localapi.MeshLeaveAnswer{Slug: "team", OwnerKeyKept: "/home/anna/.claudemesh/keys/x.owner.json", DroppedOutbox: 3})},
		{Args: "leave team -y", Given: clitest.Answer(localapi.MeshLeave.Route, localapi.MeshLeaveAnswer{Slug: "team", OwnerKeyKept: "/home/anna/.claudemesh/keys/x.owner.json", DroppedOutbox: 1})},
		{Args: "leave"},
	})
}

func TestOwnership(t *testing.T) {
	t.Parallel()
	renamed := clitest.Mesh()
	renamed.Slug, renamed.Name = "crew", "The Crew"
	clitest.Verbs(t, cli.Run, "ownership", []clitest.Line{
		{Args: "rename team crew", Given: clitest.Answer(localapi.MeshUpdate.Route, localapi.MeshAnswer{Mesh: renamed, AlreadyJoined: true})},
		{Args: "rename team --name Crew --json", Given: clitest.Answer(localapi.MeshUpdate.Route, localapi.MeshAnswer{Mesh: renamed, AlreadyJoined: true})},
		{Args: "rename team crew", Given: clitest.Answer(localapi.MeshUpdate.Route, mesh.Errorf(mesh.NotOwner, "the key that owns team is not on this device"))},
		{Args: "rename team Crew!"},
		{Args: "rename team"},
		{Args: "rename"},
		{Args: "delete team"},
		{Args: "rm team --everywhere"},
		{Args: "rm team --everywhere --yes", Given: clitest.Answer(localapi.MeshLeave.Route, localapi.MeshLeaveAnswer{Slug: "team", Everywhere: true, BrokerTold: true, OwnerKeyKept: "/home/anna/.claudemesh/keys/x.owner.json"})},
		{Args: "delete team --everywhere --yes --json", Given: clitest.Answer(localapi.MeshLeave.Route, localapi.MeshLeaveAnswer{Slug: "team", Everywhere: true, BrokerTold: true})},
		{Args: "delete"},
		{Args: "member role ben admin --mesh team", Given: clitest.Answer(localapi.MemberUpdate.Route, localapi.MemberAnswer{Mesh: "team", MemberID: "M3mber", Pubkey: clitest.Key("ben"), Name: "ben", Role: "admin"})},
		{Args: "member role ben member --mesh team --json", Given: clitest.Answer(localapi.MemberUpdate.Route, localapi.MemberAnswer{Mesh: "team", MemberID: "M3mber", Pubkey: clitest.Key("ben"), Name: "ben", Role: "member"})},
		{Args: "members"},
		{Args: "member list --online --mesh team --json"},
		{Args: "members", Given: clitest.Answer(localapi.Members.Route, localapi.MembersAnswer{Meshes: []localapi.MeshState{{Mesh: "team", Status: "reconnecting"}}})},
		{Args: "members", Given: clitest.Answer(localapi.Members.Route, localapi.MembersAnswer{})},
		{Args: "members all"},
		{Args: "member role ben king"},
		{Args: "member role ben"},
		{Args: "member"},
	})
}

func TestInvites(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, cli.Run, "invite", []clitest.Line{
		{Args: "share", Given: clitest.OneMesh},
		{Args: "invite --json --mesh team"},
		{Args: "share --legacy --mesh team", Given: clitest.Answer(localapi.InviteCreate.Route, localapi.InviteAnswer{URL: "ic://join/abc", Version: 1, Uses: 1, Role: "member", Mesh: "team", ExpiresAt: "2026-03-06T12:00:00.000Z", InviteID: clitest.InviteID, LocalOnly: true})},
		{Args: "share --expires 2d --uses 5 --role admin --mesh team", Given: clitest.Answer(localapi.InviteCreate.Route, localapi.InviteAnswer{URL: "http://127.0.0.1:7901/i/abc", Uses: 5, Role: "admin", Mesh: "team", ExpiresAt: "2026-03-06T12:00:00.000Z", InviteID: clitest.InviteID, LocalOnly: true})},
		{Args: "share"},
		{Args: "share --json"},
		{Args: "share", Given: clitest.Answer(localapi.Meshes.Route, localapi.MeshesAnswer{})},
		{Args: "share --qr --mesh team"},
		{Args: "share --qr --copy --mesh team", Given: clitest.Answer(localapi.InviteCreate.Route, localapi.InviteAnswer{URL: "ic://join/" + strings.Repeat("x", 500), Version: 1, Uses: 1, Role: "member", Mesh: "team", ExpiresAt: "2026-03-06T12:00:00.000Z", InviteID: clitest.InviteID})},
		{Args: "share --legacy --copy --json --mesh team"},
		{Args: "share --uses 0"},
		{Args: "share --role owner"},
		{Args: "share --expires never"},
		{Args: "share bob@example.com"},
		{Args: "invites list", Given: clitest.OneMesh},
		{Args: "invites list --mesh research --json"},
		{Args: "invites list --mesh research --json inviteId,used"},
		{Args: "invites list --mesh research", Given: clitest.Answer(localapi.Invites.Route, localapi.InvitesAnswer{Invites: []protocol.Invite{}})},
		{Args: "invites revoke 1nviteId --mesh team"},
		{Args: "invites revoke 1nviteId --json", Given: clitest.OneMesh},
		{Args: "invites revoke"},
		{Args: "invites"},
	})
}

func TestTokenFileIsRead(t *testing.T) {
	t.Parallel()
	w := clitest.WithDaemon(t, cli.Run)
	file := filepath.Join(w.Root, "token")
	if err := os.WriteFile(file, []byte("  secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Run("create", "Team", "--token-file", file)
	if asked := w.Daemon.Recorded(); len(asked) != 1 || !strings.Contains(asked[0], `"token":"secret"`) {
		t.Errorf("got %q, want the token of the file in the request", asked)
	}
}
