package message_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestSend(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, cli.Run, "send", []clitest.Line{
		{Args: "send backend the␣tests are␣green"},
		{Args: "send backend hi --json"},
		{Args: "send backend hi --json=state,messageId"},
		{Args: "message send backend hi"},
		{Args: "send backend -", Given: func(w *clitest.World) { w.Stdin = "from a pipe\nwith two lines\n" }},
		{Args: "send backend -"},
		{Args: "send backend -", Given: func(w *clitest.World) { w.Stdin = strings.Repeat("x", 1<<20+1) }},
		{Args: "send backend \xff"},
		{Args: "send -- --help hi"},
		{Args: "send backend -- --wait is a flag"},
		{Args: "send backend --wait hi", Given: clitest.Answer(localapi.Send.Route, localapi.SendAnswer{ClientMessageID: clitest.ClientID, BrokerMessageID: clitest.BrokerID, Mesh: "team", Target: string(clitest.Key("session3")), TargetName: "backend", Encrypted: true, State: mesh.StateDelivered, Recipients: clitest.Status().Recipients[2:3]})},
		{Args: "send backend hi --wait=surfaced --timeout 5s", Given: clitest.Answer(localapi.Send.Route, mesh.Errorf(mesh.WaitTimeout, "it is accepted and not yet surfaced").With(mesh.Details{State: mesh.StateAccepted}))},
		{Args: "send backend hi --wait=surfaced --json", Given: clitest.Answer(localapi.Send.Route, mesh.Errorf(mesh.WaitTimeout, "it is accepted and not yet surfaced").With(mesh.Details{State: mesh.StateAccepted}))},
		{Args: "send @ops hi", Given: clitest.Answer(localapi.Send.Route, localapi.SendAnswer{ClientMessageID: clitest.ClientID, Mesh: "team", Target: "@ops", State: mesh.StateAccepted, Recipients: clitest.Status().Recipients})},
		{Args: "send docs hi", Given: clitest.Answer(localapi.Send.Route, localapi.SendAnswer{ClientMessageID: clitest.ClientID, Mesh: "team", Target: string(clitest.Key("session4")), TargetName: "docs", Encrypted: true, RecipientOnline: new(false)})},
		{Args: "send docs hi --id once", Given: clitest.Answer(localapi.Send.Route, localapi.SendAnswer{ClientMessageID: "once", BrokerMessageID: clitest.BrokerID, Duplicate: true, Mesh: "team", Target: string(clitest.Key("session4")), TargetName: "docs", Encrypted: true, State: mesh.StateDelivered})},
		{Args: "send docs hi --id once", Given: clitest.Answer(localapi.Send.Route, localapi.SendAnswer{ClientMessageID: "once", Duplicate: true, Mesh: "team", Target: string(clitest.Key("session4")), Encrypted: true, State: mesh.StateRejected})},
		{Args: "send alice hi", Given: clitest.Answer(localapi.Send.Route, mesh.Errorf(mesh.AmbiguousTarget, "two peers are called alice").With(mesh.Details{Candidates: []mesh.Candidate{{Name: "alice", Key: clitest.Key("alice1"), Mesh: "team", Online: true}, {Name: "alice", Key: clitest.Key("alice2"), Mesh: "research"}}}))},
		{Args: "send alice hi --json", Given: clitest.Answer(localapi.Send.Route, mesh.Errorf(mesh.AmbiguousTarget, "two peers are called alice").With(mesh.Details{Candidates: []mesh.Candidate{{Name: "alice", Key: clitest.Key("alice1"), Mesh: "team", Online: true}}}))},
		{Args: "send alice hi --id once --json", Given: clitest.Answer(localapi.Send.Route, mesh.Errorf(mesh.Reused, "the id was used for another message").With(mesh.Details{Conflict: "outbox_done_fingerprint_mismatch", BrokerID: clitest.BrokerID}))},
		{Args: "send @ops hi", Given: clitest.Answer(localapi.Send.Route, localapi.SendAnswer{ClientMessageID: clitest.ClientID, Mesh: "team", Target: "@ops", State: mesh.StateQueued, FirstPlaintext: true})},
		{Args: "send @ops hi --wait", Given: clitest.Answer(localapi.Send.Route, mesh.Errorf(mesh.WaitTimeout, "the message is delivered for 1 of 3; missing: bob, carol").With(mesh.Details{State: mesh.StateAccepted, Missing: []string{"bob", "carol"}}))},
		{Args: "send @ops hi --wait --json", Given: clitest.Answer(localapi.Send.Route, mesh.Errorf(mesh.WaitTimeout, "the message is delivered for 1 of 3; missing: bob, carol").With(mesh.Details{State: mesh.StateAccepted, Missing: []string{"bob", "carol"}}))},
		{Args: "send backend,@backend hi --id once"},
		{Args: "send --to backend --to @backend hi you --id once --json"},
		{Args: "send a,b hi --wait", Given: clitest.Answer(localapi.SendMany.Route, localapi.SendManyAnswer{Messages: []localapi.SendAnswer{
			{ClientMessageID: "once.1", Mesh: "team", Target: string(clitest.Key("session4")), TargetName: "a", Encrypted: true, State: mesh.StateDelivered},
			{ClientMessageID: "once.2", Mesh: "team", Target: string(clitest.Key("session5")), TargetName: "b", Encrypted: true, State: mesh.StateExpired},
		}})},
		{Args: "send a,b hi", Given: clitest.Answer(localapi.SendMany.Route, mesh.Errorf(mesh.TargetNotFound, "to b: nobody is called b"))},
		{Args: "send a,,b hi"},
		{Args: "send --to a"},
		{Args: "send"},
		{Args: "send alice"},
		{Args: "send alice hi --priority soon"},
		{Args: "send alice hi --wait=queued"},
		{Args: "send alice hi --timeout 5s"},
		{Args: "send alice hi --wait delivered"},
		{Args: "send alice --wait -- delivered"},
		{Args: "send alice hi --wait --timeout=0s"},
		{Args: "send alice hi --timeout soon"},
		{Args: "send alice -5 degrees"},
		{Args: "send alice hi --prioriti now --json"},
	})
}

// copies are those of one message, which were read at these times, and another message.
func copies(seen ...string) []localapi.InboxItem {
	text, group := "lunch?", "@ops"
	one := localapi.InboxItem{ID: "one", BrokerMessageID: "b1", Mesh: "team", SenderName: "alice", Topic: &group, Body: &text, ReceivedAt: clitest.Time.Format(time.RFC3339), SeenAt: &group, Verified: true}
	other := one
	other.ID, other.BrokerMessageID = "two", "b2"
	items := []localapi.InboxItem{other}
	for _, at := range seen {
		if one.SeenAt = &at; at == "" {
			one.SeenAt = nil
		}
		items = append(items, one)
	}
	return items
}

func TestInbox(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, cli.Run, "inbox", []clitest.Line{
		{Args: "inbox"},
		{Args: "inbox --peek -q"},
		{Args: "inbox --json --unread --limit 5"},
		{Args: "inbox --json sender_name,body"},
		{Args: "message inbox --json=id --peek"},
		{Args: "inbox", Given: clitest.Answer(localapi.Inbox.Route, localapi.InboxAnswer{})},
		{Args: "inbox --from alice", Given: clitest.Answer(localapi.Inbox.Route, localapi.InboxAnswer{Items: copies("", "2026-01-02T03:04:05Z")})},
		{Args: "inbox --limit 1", Given: clitest.Answer(localapi.Inbox.Route, localapi.InboxAnswer{Unread: 3})},
		{Args: "inbox", Given: clitest.Answer(localapi.InboxSeen.Route, mesh.Errorf(mesh.StoreLocked, "the inbox is locked"))},
		{Args: "inbox --limit 0"},
		{Args: "inbox --limit many"},
		{Args: "inbox now"},
		{Args: "inbox list --search Tests --json=id"},
		{Args: "message inbox list --peek --json=id"},
	})
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	redelivered := func(outcome string) func(*clitest.World) {
		return clitest.Answer(localapi.Redeliver.Route, localapi.RedeliverAnswer{ID: "row-1", Direction: "out", Outcome: outcome, Mesh: "team", MessageID: "5f0d2a44"})
	}
	clitest.Verbs(t, cli.Run, "dead", []clitest.Line{
		{Args: "message dead"},
		{Args: "message dead --json --mesh team --limit 5"},
		{Args: "message dead --json=id,reason -q"},
		{Args: "message dead", Given: clitest.Answer(localapi.Letters.Route, localapi.LettersAnswer{})},
		{Args: "message dead --limit 0"},
		{Args: "message dead now"},
		{Args: "message redeliver letter-2"},
		{Args: "message redeliver letter-2 --json"},
		{Args: "message redeliver row-1", Given: redelivered("queued")},
		{Args: "message redeliver row-1", Given: redelivered("verified")},
		{Args: "message redeliver letter-2", Given: clitest.Answer(localapi.Redeliver.Route, mesh.Errorf(mesh.Undecryptable, "it opens with no key of this machine"))},
		{Args: "message redeliver"},
	})
}

func TestInboxClearing(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, cli.Run, "flush", []clitest.Line{
		{Args: "inbox flush --mesh team"},
		{Args: "message inbox flush --before 2026-01-31T08:00:00Z --json"},
		{Args: "inbox flush --before yesterday", Given: clitest.Answer(localapi.InboxFlush.Route, mesh.Errorf(mesh.BadRequest, "before \"yesterday\" is not a time such as 2006-01-02T15:04:05Z"))},
		{Args: "inbox flush"},
		{Args: "inbox flush --json"},
		{Args: "inbox flush --all --mesh team"},
		{Args: "inbox flush --all"},
		{Args: "inbox flush --all --yes"},
		{Args: "inbox review"},
		{Args: "inbox review --json=held"},
		{Args: "inbox review --limit 3", Given: clitest.Answer(localapi.InboxHeld.Route, localapi.HeldAnswer{})},
		{Args: "inbox review --limit 1001"},
		{Args: "inbox review inbox-row-7 once"},
		{Args: "inbox review inbox-row-7 always --json", Given: clitest.Answer(localapi.InboxReview.Route, localapi.ReviewAnswer{
			ID: "inbox-row-7", Mesh: "team", Decision: localapi.ReviewAlways, SenderName: "bob", Pubkey: clitest.Key("bob"), Released: true,
		})},
		{Args: "inbox review inbox-row-7 block", Given: clitest.Answer(localapi.InboxReview.Route, localapi.ReviewAnswer{
			ID: "inbox-row-7", Mesh: "team", Decision: localapi.ReviewBlock, SenderName: "bob", Pubkey: clitest.Key("bob"),
		})},
		{Args: "inbox review inbox-row-7"},
		{Args: "inbox review inbox-row-7 maybe"},
		{Args: "inbox review inbox-row-7 once more"},
		{Args: "inbox review", Given: clitest.Inside(t)},
		{Args: "inbox delete inbox-row-7"},
		{Args: "inbox rm inbox-row-7 --json"},
		{Args: "inbox delete nosuch", Given: clitest.Answer(localapi.InboxDelete.Route, mesh.Errorf(mesh.NotFound, "no message \"nosuch\" has come here"))},
		{Args: "inbox delete"},
	})
}

func TestMessage(t *testing.T) {
	t.Parallel()
	clitest.Verbs(t, cli.Run, "message", []clitest.Line{
		{Args: "message status 5f0d2a44"},
		{Args: "message status 5f0d2a44 --json --mesh team"},
		{Args: "message status 5f0d2a44 --json=state,delivered"},
		{Args: "msg-status 5f0d2a44", Given: clitest.Answer(localapi.MessageStatus.Route, localapi.StatusAnswer{ClientMessageID: clitest.ClientID, Mesh: "team", TargetSpec: "@ops", State: mesh.StateQueued, LastError: "rate_limit: slow down"})},
		{Args: "message status 5f0d2a44", Given: clitest.Answer(localapi.MessageStatus.Route, localapi.StatusAnswer{ClientMessageID: clitest.ClientID, Mesh: "team", TargetSpec: "@ops", State: mesh.StateQueued, WaitsBehind: &localapi.Obstacle{ClientMessageID: "first", Reason: "storage_full: the broker's disk is full"}})},
		{Args: "message status 5f0d2a44 --json", Given: clitest.Answer(localapi.MessageStatus.Route, localapi.StatusAnswer{ClientMessageID: clitest.ClientID, Mesh: "team", TargetSpec: "@ops", State: mesh.StateQueued, WaitsBehind: &localapi.Obstacle{ClientMessageID: "first", Reason: "storage_full: the broker's disk is full"}})},
		{Args: "message status 5f0d2a44", Given: clitest.Answer(localapi.MessageStatus.Route, mesh.Errorf(mesh.NotFound, "no message has this id"))},
		{Args: "message status"},
		{Args: "message status 5f0d2a44 --watch"},
		{Args: "message status 5f0d2a44 --watch --json=state,settled"},
		{Args: "message status 5f0d2a44 --watch", Given: clitest.Answer(localapi.MessageStatus.Route, mesh.Errorf(mesh.NotFound, "no message has this id"))},
		{Args: "message status 5f0d2a44 --watch --no-daemon"},
		{Args: "message trace 5f0d2a44"},
		{Args: "message trace 5f0d2a44 --json --mesh team"},
		{Args: "message trace 5f0d2a44", Given: clitest.Answer(localapi.MessageTrace.Route, mesh.Errorf(mesh.NotFound, "no message %q has come here", "5f0d2a44"))},
		{Args: "message ack 5f0d2a44"},
		{Args: "message ack 5f0d2a44 --json --mesh team"},
		{Args: "message ack 5f0d2a44", Given: clitest.Answer(localapi.InboxAcknowledge.Route, clitest.Acknowledged("withheld"))},
		{Args: "message ack 5f0d2a44", Given: clitest.Answer(localapi.InboxAcknowledge.Route, clitest.Acknowledged("unasked"))},
		{Args: "message ack 5f0d2a44", Given: clitest.Answer(localapi.InboxAcknowledge.Route, clitest.Acknowledged("refused"))},
		{Args: "message ack 5f0d2a44", Given: clitest.Answer(localapi.InboxAcknowledge.Route, mesh.Errorf(mesh.NotFound, "no message %q has come here", "5f0d2a44"))},
		{Args: "message ack"},
		{Args: "message"},
		{Args: "message statsu 5f"},
	})
}

func TestSendAsksAgainWithTheSameID(t *testing.T) {
	t.Parallel()
	w := clitest.WithDaemon(t, cli.Run)
	w.Daemon.Drop = 1
	if r := w.Run("send", "backend", "hi"); r.Exit != mesh.ExitOK {
		t.Fatalf("got exit %d and %q, want success at the second try", r.Exit, r.Err)
	}
	asked := w.Daemon.Recorded()
	if len(asked) != 2 || asked[0] != asked[1] || w.Scrub(asked[0]) == asked[0] {
		t.Errorf("got %q, want the same request twice, with an id", asked)
	}
	w.Daemon.Drop = 2
	if r := w.Run("send", "backend", "hi", "--json"); r.Exit != mesh.ExitNetwork || !strings.Contains(r.Out, `"client_message_id": "`) {
		t.Errorf("got exit %d and %s, want 4 and the id by which to ask", r.Exit, r.Out)
	}
	if asked := w.Daemon.Recorded(); len(asked) != 2 {
		t.Errorf("got %d requests, want two", len(asked))
	}
	w.Daemon.Drop = 2
	r := w.Run("send", "backend", "hi")
	if want := "the same command with --id " + idIn(t, w.Daemon.Recorded()[0]) + " sends it once"; r.Exit != mesh.ExitNetwork || !strings.Contains(r.Err, want) {
		t.Errorf("got exit %d and %q, want 4 and %q: whether it was queued is unknown", r.Exit, r.Err, want)
	}
}

// idIn finds the client message id of a recorded request.
func idIn(t *testing.T, request string) string {
	t.Helper()
	_, rest, ok := strings.Cut(request, `"client_message_id":"`)
	id, _, ends := strings.Cut(rest, `"`)
	if !ok || !ends || id == "" {
		t.Fatalf("got %q, want a request with an id", request)
	}
	return id
}

func TestReadingIsNotRepeated(t *testing.T) {
	t.Parallel()
	w := clitest.WithDaemon(t, cli.Run)
	w.Daemon.Drop = 1
	if r := w.Run("inbox"); r.Exit != mesh.ExitNetwork {
		t.Errorf("got exit %d, want 4", r.Exit)
	}
	if asked := w.Daemon.Recorded(); len(asked) != 1 {
		t.Errorf("got %q, want one request", asked)
	}
}

func TestSendWaitIsTheSetting(t *testing.T) {
	t.Parallel()
	w := clitest.WithDaemon(t, cli.Run)
	w.Env["CLAUDEMESH_SEND_WAIT"] = "90s"
	w.Run("send", "backend", "hi", "--wait")
	if asked := w.Daemon.Recorded(); len(asked) != 1 || !strings.Contains(asked[0], `"wait_ms":90000`) {
		t.Errorf("got %q, want 90000 ms from the environment", asked)
	}
}
