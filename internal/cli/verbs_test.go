package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// one makes a mesh the only joined one.
func one(w *world) {
	answer := sampleMeshes()
	answer.Meshes = answer.Meshes[:1]
	w.daemon.answers[localapi.Meshes.Route] = answer
}

// answers puts an answer in the place of the sample.
func answers(route string, answer any) func(*world) {
	return func(w *world) { w.daemon.answers[route] = answer }
}

// TestVerbs writes down, noun by noun, what each command line asks the daemon, prints and ends with.
func TestVerbs(t *testing.T) {
	t.Parallel()
	type line struct {
		args  string // parted at spaces; ␣ is a space inside a word
		given func(*world)
	}
	nouns := map[string][]line{
		"send": {
			{"send backend the␣tests are␣green", nil},
			{"send backend hi --json", nil},
			{"send backend hi --json=state,messageId", nil},
			{"message send backend hi", nil},
			{"send backend -", func(w *world) { w.stdin = "from a pipe\nwith two lines\n" }},
			{"send backend -", nil},
			{"send backend -", func(w *world) { w.stdin = strings.Repeat("x", maxStdin+1) }},
			{"send backend \xff", nil},
			{"send -- --help hi", nil},
			{"send backend -- --wait is a flag", nil},
			{"send backend --wait hi", answers(localapi.Send.Route, localapi.SendAnswer{ClientMessageID: sampleClientID, BrokerMessageID: sampleBrokerID, Mesh: "team", Target: string(key("session3")), TargetName: "backend", Encrypted: true, State: mesh.StateDelivered, Recipients: sampleStatus().Recipients[2:3]})},
			{"send backend hi --wait=surfaced --timeout 5s", answers(localapi.Send.Route, mesh.Errorf(mesh.WaitTimeout, "it is accepted and not yet surfaced").With(mesh.Details{State: mesh.StateAccepted}))},
			{"send backend hi --wait=surfaced --json", answers(localapi.Send.Route, mesh.Errorf(mesh.WaitTimeout, "it is accepted and not yet surfaced").With(mesh.Details{State: mesh.StateAccepted}))},
			{"send @ops hi", answers(localapi.Send.Route, localapi.SendAnswer{ClientMessageID: sampleClientID, Mesh: "team", Target: "@ops", State: mesh.StateAccepted, Recipients: sampleStatus().Recipients})},
			{"send docs hi", answers(localapi.Send.Route, localapi.SendAnswer{ClientMessageID: sampleClientID, Mesh: "team", Target: string(key("session4")), TargetName: "docs", Encrypted: true, RecipientOnline: ptr(false)})},
			{"send docs hi --id once", answers(localapi.Send.Route, localapi.SendAnswer{ClientMessageID: "once", BrokerMessageID: sampleBrokerID, Duplicate: true, Mesh: "team", Target: string(key("session4")), TargetName: "docs", Encrypted: true, State: mesh.StateDelivered})},
			{"send docs hi --id once", answers(localapi.Send.Route, localapi.SendAnswer{ClientMessageID: "once", Duplicate: true, Mesh: "team", Target: string(key("session4")), Encrypted: true, State: mesh.StateRejected})},
			{"send alice hi", answers(localapi.Send.Route, mesh.Errorf(mesh.AmbiguousTarget, "two peers are called alice").With(mesh.Details{Candidates: []mesh.Candidate{{Name: "alice", Key: key("alice1"), Mesh: "team", Online: true}, {Name: "alice", Key: key("alice2"), Mesh: "research"}}}))},
			{"send alice hi --json", answers(localapi.Send.Route, mesh.Errorf(mesh.AmbiguousTarget, "two peers are called alice").With(mesh.Details{Candidates: []mesh.Candidate{{Name: "alice", Key: key("alice1"), Mesh: "team", Online: true}}}))},
			{"send alice hi --id once --json", answers(localapi.Send.Route, mesh.Errorf(mesh.Reused, "the id was used for another message").With(mesh.Details{Conflict: "outbox_done_fingerprint_mismatch", BrokerID: sampleBrokerID}))},
			{"send", nil},
			{"send alice", nil},
			{"send alice hi --priority soon", nil},
			{"send alice hi --wait=queued", nil},
			{"send alice hi --timeout 5s", nil},
			{"send alice hi --wait delivered", nil},
			{"send alice --wait -- delivered", nil},
			{"send alice hi --wait --timeout=0s", nil},
			{"send alice hi --timeout soon", nil},
			{"send alice -5 degrees", nil},
			{"send alice hi --prioriti now --json", nil},
		},
		"inbox": {
			{"inbox", nil},
			{"inbox --peek -q", nil},
			{"inbox --json --unread --limit 5", nil},
			{"inbox --json sender_name,body", nil},
			{"message inbox --json=id --peek", nil},
			{"inbox", answers(localapi.Inbox.Route, localapi.InboxAnswer{})},
			{"inbox", answers(localapi.InboxSeen.Route, mesh.Errorf(mesh.StoreLocked, "the inbox is locked"))},
			{"inbox --limit 0", nil},
			{"inbox --limit many", nil},
			{"inbox now", nil},
		},
		"message": {
			{"message status 5f0d2a44", nil},
			{"message status 5f0d2a44 --json --mesh team", nil},
			{"message status 5f0d2a44 --json=state,delivered", nil},
			{"msg-status 5f0d2a44", answers(localapi.MessageStatus.Route, localapi.StatusAnswer{ClientMessageID: sampleClientID, Mesh: "team", TargetSpec: "@ops", State: mesh.StateQueued, LastError: "rate_limit: slow down"})},
			{"message status 5f0d2a44", answers(localapi.MessageStatus.Route, mesh.Errorf(mesh.NotFound, "no message has this id"))},
			{"message status", nil},
			{"message", nil},
			{"message statsu 5f", nil},
		},
		"peers": {
			{"peers", nil},
			{"peer list --all --offline --mesh team", nil},
			{"peers --json", nil},
			{"peers --json name,status,nothing", nil},
			{"peers", answers(localapi.Peers.Route, severalRosters())},
			{"peers --json=displayName", answers(localapi.Peers.Route, severalRosters())},
			{"peers", answers(localapi.Peers.Route, localapi.PeersAnswer{})},
			{"peers --json", answers(localapi.Peers.Route, localapi.PeersAnswer{})},
			{"peers --mesh nowhere", answers(localapi.Peers.Route, mesh.Errorf(mesh.MeshNotAttached, "nowhere is not joined").With(mesh.Details{Attached: []string{"research", "team"}}))},
			{"peer", nil},
			{"peer lits", nil},
			{"peer lits --offline", nil},
		},
		"mesh": {
			{"list", nil},
			{"ls --json", nil},
			{"list --json slug,status", nil},
			{"list --mesh research", nil},
			{"list --mesh nowhere", nil},
			{"list", answers(localapi.Meshes.Route, localapi.MeshesAnswer{})},
			{"create Team", nil},
			{"new Team --json", nil},
			{"create $(reboot) --name $(reboot) --slug -x", nil},
			{"create -- -rf", nil},
			{"create Team --token-file -", func(w *world) { w.stdin = "secret\n" }},
			{"create Team --token-file -", nil},
			{"create Team --token-file /nowhere/token", nil},
			{"create", nil},
			{"create Team of us", nil},
			{"create Team", answers(localapi.MeshCreate.Route, mesh.Errorf(mesh.SlugTaken, "the name team is taken"))},
			{"join https://mesh.example.com/i/7dQm4xZt9BcA#q0Zr2v8mT5Wc1yN4kLxU3g", nil},
			{"add 7dQm4xZt9BcA --broker https://mesh.example.com --json", answers(localapi.MeshJoin.Route, localapi.MeshAnswer{Mesh: sampleMesh(), Unpinned: true})},
			{"join 7dQm4xZt9BcA --name two\nlines", answers(localapi.MeshJoin.Route, localapi.MeshAnswer{Mesh: sampleMesh(), AlreadyJoined: true})},
			{"join", nil},
			{"leave team", nil},
			{"leave team --yes --json", answers(localapi.MeshLeave.Route, localapi.MeshLeaveAnswer{Slug: "team", OwnerKeyKept: "/home/anna/.claudemesh/keys/x.owner.json", DroppedOutbox: 3})},
			{"leave team -y", answers(localapi.MeshLeave.Route, localapi.MeshLeaveAnswer{Slug: "team", OwnerKeyKept: "/home/anna/.claudemesh/keys/x.owner.json", DroppedOutbox: 1})},
			{"leave", nil},
			{"whoami", nil},
			{"whoami --json", nil},
			{"whoami", answers(localapi.Whoami.Route, localapi.WhoamiAnswer{User: "anna", ConfigPath: "/home/anna/.claudemesh/config.json"})},
			{"whoami --json", answers(localapi.Whoami.Route, localapi.WhoamiAnswer{User: "anna", ConfigPath: "/home/anna/.claudemesh/config.json"})},
		},
		"invite": {
			{"share", one},
			{"invite --json --mesh team", nil},
			{"share --expires 2d --uses 5 --role admin --mesh team", answers(localapi.InviteCreate.Route, localapi.InviteAnswer{URL: "http://127.0.0.1:7900/i/abc", Uses: 5, Role: "admin", Mesh: "team", ExpiresAt: "2026-03-06T12:00:00.000Z", InviteID: sampleInvite, LocalOnly: true})},
			{"share", nil},
			{"share --json", nil},
			{"share", answers(localapi.Meshes.Route, localapi.MeshesAnswer{})},
			{"share --uses 0", nil},
			{"share --role owner", nil},
			{"share --expires never", nil},
			{"share bob@example.com", nil},
			{"invites list", one},
			{"invites list --mesh research --json", nil},
			{"invites list --mesh research --json inviteId,used", nil},
			{"invites list --mesh research", answers(localapi.Invites.Route, localapi.InvitesAnswer{Invites: []protocol.Invite{}})},
			{"invites revoke 1nviteId --mesh team", nil},
			{"invites revoke 1nviteId --json", one},
			{"invites revoke", nil},
			{"invites", nil},
		},
		"daemon": {
			{"daemon status", nil},
			{"daemon status --json", nil},
			{"daemon version", nil},
			{"daemon version --json", nil},
			{"daemon up", nil},
			{"daemon up --foreground --tcp", nil},
			{"daemon start --foreground --no-tcp --mesh team --name x", nil},
			{"daemon outbox", nil},
			{"daemon outbox list --failed --json", nil},
			{"daemon outbox list --json id,status", nil},
			{"daemon outbox --json=id", nil},
			{"daemon outbox --done --limit 3 --mesh team", answers(localapi.Outbox.Route, localapi.OutboxAnswer{})},
			{"daemon outbox --done --pending", nil},
			{"daemon outbox lits", nil},
			{"daemon outbox --limit 501", nil},
			{"daemon stauts", nil},
		},
		"other": {
			{"mcp", nil},
			{"demo", nil},
			{"broker serve --listen 0.0.0.0:1 --create open", nil},
			{"config print --json=key,value,source", func(w *world) { w.env["CLAUDEMESH_TCP"] = "true" }},
			{"config print --broker", nil},
			{"config", nil},
			{"completions tcsh", nil},
			{"peeers", nil},
			{"xyzzy --json", nil},
			{"https://mesh.example.com/i/7dQm4xZt9BcA", nil},
			{"--jsn list", nil},
			{"list --strct", nil},
			{"list -z", nil},
			{"list --mesh", nil},
			{"list --quiet=maybe", nil},
			{"list --json=a,,b", nil},
			{"list slug --json", nil},
			{"list --json=false", answers(localapi.Meshes.Route, localapi.MeshesAnswer{})},
			{"list --json=true", answers(localapi.Meshes.Route, localapi.MeshesAnswer{})},
			{"help nothing", nil},
		},
	}
	for noun, lines := range nouns {
		t.Run(noun, func(t *testing.T) {
			t.Parallel()
			var all strings.Builder
			for _, l := range lines {
				w := withDaemon(t)
				if l.given != nil {
					l.given(w)
				}
				args := strings.Split(l.args, " ")
				for i := range args {
					args[i] = strings.ReplaceAll(args[i], "␣", " ")
				}
				all.WriteString(w.transcript(args...))
			}
			golden(t, filepath.Join("verbs", noun), all.String())
		})
	}
}

// severalRosters has a mesh that does not answer, a daemon among the peers, and one who is offline for long.
func severalRosters() localapi.PeersAnswer {
	answer := samplePeers()
	daemon := answer.Peers[3]
	daemon.DisplayName, daemon.PeerRole, daemon.Groups, daemon.Summary, daemon.Channel = "bob@laptop", mesh.ControlPlane, nil, nil, "claudemesh-daemon"
	known := answer.Peers[4]
	known.Mesh, known.Online = "research", ptr(false)
	me := answer.Peers[4]
	me.Mesh, me.IsSelf, me.Verified, me.DisplayName = "research", true, true, "anna@laptop"
	proved := answer.Peers[2]
	proved.Mesh, proved.Verified, proved.LastSeenAt, proved.DisplayName = "research", true, "2026-01-01T00:00:00Z", "文書係"
	answer.Peers = append(answer.Peers, daemon, known, me, proved)
	answer.Meshes = append(answer.Meshes, localapi.MeshState{Mesh: "research", Status: "reconnecting"}, localapi.MeshState{Mesh: "empty", Status: "open", OK: true})
	return answer
}

func TestTokenFileIsRead(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	file := filepath.Join(w.root, "token")
	if err := os.WriteFile(file, []byte("  secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run("create", "Team", "--token-file", file)
	if asked := w.daemon.recorded(); len(asked) != 1 || !strings.Contains(asked[0], `"token":"secret"`) {
		t.Errorf("got %q, want the token of the file in the request", asked)
	}
}

func TestSendAsksAgainWithTheSameID(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	w.daemon.drop = 1
	if r := w.run("send", "backend", "hi"); r.exit != mesh.ExitOK {
		t.Fatalf("got exit %d and %q, want success at the second try", r.exit, r.err)
	}
	asked := w.daemon.recorded()
	if len(asked) != 2 || asked[0] != asked[1] || !clientID.MatchString(asked[0]) {
		t.Errorf("got %q, want the same request twice, with an id", asked)
	}
	w.daemon.drop = 2
	if r := w.run("send", "backend", "hi", "--json"); r.exit != mesh.ExitNetwork || !strings.Contains(r.out, `"client_message_id": "`) {
		t.Errorf("got exit %d and %s, want 4 and the id by which to ask", r.exit, r.out)
	}
	if asked := w.daemon.recorded(); len(asked) != 2 {
		t.Errorf("got %d requests, want two", len(asked))
	}
}

func TestReadingIsNotRepeated(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	w.daemon.drop = 1
	if r := w.run("inbox"); r.exit != mesh.ExitNetwork {
		t.Errorf("got exit %d, want 4", r.exit)
	}
	if asked := w.daemon.recorded(); len(asked) != 1 {
		t.Errorf("got %q, want one request", asked)
	}
}

func TestSendWaitIsTheSetting(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	w.env["CLAUDEMESH_SEND_WAIT"] = "90s"
	w.run("send", "backend", "hi", "--wait")
	if asked := w.daemon.recorded(); len(asked) != 1 || !strings.Contains(asked[0], `"wait_ms":90000`) {
		t.Errorf("got %q, want 90000 ms from the environment", asked)
	}
}

func TestVerbSpeaksAsItsSession(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	w.env["CLAUDE_CODE_SESSION_ID"] = "0b9c4d1e"
	file := w.home.Daemon.SessionToken("0b9c4d1e")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	w.run("list")
	if err := os.WriteFile(file, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run("list")
	if got := w.daemon.sessions; len(got) != 2 || got[0] != "" || got[1] != "t0ken" {
		t.Errorf("got tokens %q, want none before the file is there, then its text", got)
	}
}
