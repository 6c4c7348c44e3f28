package rig

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// letters are the dead letters of a reader, newest first.
func (w *world) letters(d localapi.Doer) []localapi.DeadLetter {
	w.T.Helper()
	answer, err := localapi.Letters.Do(w.T.Context(), d, localapi.LettersRequest{})
	w.must(err)
	return answer.Letters
}

// letter is the only one.
func (w *world) letter(d localapi.Doer) localapi.DeadLetter {
	w.T.Helper()
	all := w.letters(d)
	if len(all) != 1 {
		w.T.Fatalf("got %+v, want one dead letter", all)
	}
	return all[0]
}

// redeliver tries a dead letter again; code is empty where it has to succeed.
func (w *world) redeliver(d localapi.Doer, id string, code mesh.Code) localapi.RedeliverAnswer {
	w.T.Helper()
	answer, err := localapi.Redeliver.Do(w.T.Context(), d, localapi.RedeliverRequest{ID: id, NewClientMessageID: "again-" + mesh.ClientID(id)})
	if code == "" && err != nil || code != "" && !mesh.IsCode(err, code) {
		w.T.Errorf("redeliver %s: got %+v, %v; want %q", id, answer, err, code)
	}
	return answer
}

// What an older broker says is of a session that nobody has met does not open with any key that is known then. Once it is
// known whose session that is, it opens under the key of its author, comes like a message that has just arrived, and does
// not come again.
func TestDeadLetterOpensOnceTheSenderIsKnown(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		unknown := strings.Repeat("5e", 32)
		l.ben.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type != "push" {
				return f.Pass()
			}
			l.pushes = append(l.pushes, decode(t, f.Data))
			return [][]byte{l.pushes[0].with(t, "senderPubkey", unknown, "senderMemberPubkey", unknown)}
		})
		l.Send(l.ada, "ben", "hello")
		l.Until("it is there", func() bool { return len(l.Inbox(l.ben)) == 1 })
		l.wantShown(l.ben, "-")
		id := l.letter(l.ben).ID
		l.redeliver(l.ben, id, mesh.Undecryptable)
		l.exec(l.ben.Paths().Daemon.DB(), fmt.Sprintf(`INSERT INTO peer (mesh_id, key, member_key, name, member_name, is_session, first_seen, last_seen)
			VALUES ('%s', '%s', '%s', 'api', 'ada', 1, 1, 1)`, l.ben.Mesh("team").MeshID, unknown, l.ada.Mesh("team").Pubkey))
		_, err := localapi.InboxSeen.Do(t.Context(), l.ben, localapi.SeenRequest{IDs: []string{id}})
		l.must(err)
		before := l.Inbox(l.ben)[0]
		if done := l.redeliver(l.ben, id, ""); done.Outcome != "delivered" || done.MessageID != id || done.Direction != "in" {
			t.Errorf("got %+v, want it delivered", done)
		}
		l.wantTexts(l.ben, "hello")
		got := l.Inbox(l.ben)[0]
		if !got.Encrypted || got.Undecryptable || got.SeenAt != nil || got.Seq <= before.Seq || got.SenderPubkey != l.ada.Mesh("team").Pubkey || !got.Verified {
			t.Errorf("got %+v, want an unread box of ada's, behind what came before", got)
		}
		l.redeliver(l.ben, id, mesh.NotFound)
		l.say(l.ben, l.pushes[0].with(t))
		l.say(l.ben, l.pushes[0].with(t, "client_message_id", "again", "messageId", "again"))
		l.wantShown(l.ben, "hello")
	})
}

// A broker that keeps no grants brings what a blocked peer wrote. It is dropped, and can be fetched once the peer is let in;
// no session hears of it.
func TestDeadLetterOfABlockedPeer(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.ben.Stop()
		l.ben.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type != "hello_ack" {
				return f.Pass()
			}
			return [][]byte{decode(t, f.Data).with(t, "capabilities", []string{"client_ack"})}
		})
		l.ben.Start()
		l.wantOpen(l.ben)
		l.grant(l.ben, "block", "ada")
		l.Send(l.ada, "ben", "let me in")
		l.Until("it is noted", func() bool { return len(l.letters(l.ben)) == 1 })
		l.wantShown(l.ben)
		got := l.letter(l.ben)
		if got.Reason != "blocked" || !got.Redeliverable {
			t.Errorf("got %+v, want what a blocked peer wrote", got)
		}
		l.redeliver(l.ben, got.ID, mesh.Forbidden)
		l.grant(l.ben, "unblock", "ada")
		if done := l.redeliver(l.ben, got.ID, ""); done.Outcome != "delivered" {
			t.Errorf("got %+v, want it delivered", done)
		}
		l.wantTexts(l.ben, "let me in")
		l.redeliver(l.ben, got.ID, mesh.NotFound)
	})
}

// A message that a relay names another sender of does not open. Nothing helps until it is known whose key that is; and a
// copy that came by itself meanwhile is the one that is shown.
func TestDeadLetterIsShownOnce(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "ben", "real")
		l.wantTexts(l.ben, "real")
		carols := string(l.carol.Mesh("team").Pubkey)
		l.say(l.ben, l.pushes[0].with(t, "senderPubkey", carols, "senderMemberPubkey", carols, "client_message_id", "forged", "messageId", "forged"))
		l.wantShown(l.ben, "real", "-")
		got := l.letter(l.ben)
		if got.Reason != "undecryptable" || got.Direction != "in" || !got.Redeliverable || string(got.Pubkey) != carols || got.ClientMessageID != "forged" {
			t.Errorf("got %+v, want what did not open", got)
		}
		l.redeliver(l.ben, got.ID, mesh.Undecryptable)
		l.redeliver(l.ben, "forged", mesh.Undecryptable)
		l.redeliver(l.ben, "no such letter", mesh.NotFound)
		l.wantShown(l.ben, "real", "-")
		l.ben.Kill()
		l.ben.Start()
		l.wantOpen(l.ben)
		if again := l.letter(l.ben); again != got {
			t.Errorf("got %+v after a restart, want %+v", again, got)
		}
	})
}

// What a relay sends twice, or back, is dropped and noted: there is nothing in it to open.
func TestCopiesAreNoted(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "ben", "once")
		l.wantTexts(l.ben, "once")
		l.say(l.ben, l.pushes[0].with(t, "client_message_id", "again", "messageId", "again"))
		if got := l.letter(l.ben); got.Reason != "replayed" || got.Redeliverable {
			t.Errorf("got %+v, want a note of a copy", got)
		}
		l.redeliver(l.ben, "again", mesh.Forbidden)
		adas, bens := l.ada.Mesh("team").Pubkey, l.ben.Mesh("team").Pubkey
		l.say(l.ada, l.pushes[0].with(t, "senderPubkey", bens, "senderMemberPubkey", bens, "targetSpec", adas, "client_message_id", "bounced", "messageId", "bounced"))
		if got := l.letter(l.ada); got.Reason != "reflected" || got.Redeliverable {
			t.Errorf("got %+v, want a note of what was sent back", got)
		}
		l.wantShown(l.ben, "once")
		l.wantShown(l.ada)
	})
}

// A message whose proof did not hold is shown as claimed by the relay; once the proof holds it is the sender's, and not
// shown again.
func TestUnprovedLetterIsProvedLater(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.ben.Clock.Turn(40 * 24 * time.Hour) // signed at another time, as it seems to ben
		l.Send(l.ada, "ben", "hello")
		l.Until("it is there", func() bool { return len(l.Inbox(l.ben)) == 1 })
		before := l.Inbox(l.ben)[0]
		got := l.letter(l.ben)
		if before.Verified || got.Reason != "unproved" || got.ID != before.ID {
			t.Errorf("got %+v and %+v, want a message that is claimed by the relay", before, got)
		}
		l.redeliver(l.ben, got.ID, mesh.BadSignature)
		l.ben.Clock.Turn(-40 * 24 * time.Hour)
		if done := l.redeliver(l.ben, got.ID, ""); done.Outcome != "verified" || done.MessageID != before.ID {
			t.Errorf("got %+v, want the message proved", done)
		}
		if after := l.Inbox(l.ben); len(after) != 1 || !after[0].Verified || after[0].Seq != before.Seq || after[0].SenderName != "ada" {
			t.Errorf("got %+v, want the same message, proved", after)
		}
		if left := l.letters(l.ben); len(left) != 0 {
			t.Errorf("got %+v, want no letter left", left)
		}
	})
}

// What expired at the broker, and what was given up here, is told of; only what certainly reached nobody is sent again.
func TestDeadLettersOfTheOutbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, settings{broker: func(b *config.Broker) { b.MessageTTL = time.Minute }}, "ada", "ben")
		ada, ben := w.homes[0], w.homes[1]
		ben.Stop()
		late := w.Send(ada, "ben", "too late").ClientMessageID
		w.wantState(ada, late, mesh.StateAccepted)
		pass(2 * time.Minute)
		w.wantState(ada, late, mesh.StateExpired)
		got := w.letter(ada)
		if got.Direction != "out" || got.Reason != "expired" || got.Name != "ben" || got.Detail == "" || got.Redeliverable {
			t.Errorf("got %+v, want what expired, and why", got)
		}
		w.redeliver(ada, string(late), mesh.MessageSettled)
		ada.Link(w.broker).Cut()
		pass(time.Second)
		never := w.Send(ada, "ben", "never left").ClientMessageID
		w.redeliver(ada, string(never), mesh.MessageSettled) // it waits: it is no dead letter
		w.exec(ada.Paths().Daemon.Outbox(), "UPDATE outbox SET status = 'dead', last_error = 'max_age' WHERE client_message_id = '"+string(never)+"'")
		ada.Stop()
		ada.Start()
		if all := w.letters(ada); len(all) != 2 || all[0].ClientMessageID != never || !all[0].Redeliverable || all[0].Reason != "expired" {
			t.Errorf("got %+v, want what was given up first", all)
		}
		done := w.redeliver(ada, string(never), "")
		if done.Outcome != "queued" || done.Direction != "out" {
			t.Errorf("got %+v, want it queued again", done)
		}
		if again := w.redeliver(ada, string(never), ""); again != done {
			t.Errorf("got %+v for the same request, want %+v", again, done)
		}
		ada.Link(w.broker).Heal()
		ben.Start()
		w.wantState(ada, mesh.ClientID(done.MessageID), mesh.StateDelivered)
		w.wantTexts(ben, "never left")
		if all := w.letters(ada); len(all) != 1 {
			t.Errorf("got %+v, want only what expired", all)
		}
	})
}

// A session hears of letters for itself; one that acts without its human only how many are held.
func TestDeadLettersAreTheirReaders(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one, two := w.open(ben, "one"), w.open(ben, "two")
		wild := &Session{ID: "wild", home: ben}
		answer, err := localapi.SessionRegister.Do(t.Context(), wild, localapi.RegisterRequest{
			SessionID: "wild", PID: os.Getpid(), CWD: "/", DisplayName: "wild", Host: localapi.Host{Name: "codex"},
		})
		w.must(err)
		wild.Token = answer.Token
		w.wantSessionOpen(wild)
		ben.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type != "push" {
				return f.Pass()
			}
			return [][]byte{decode(t, f.Data).with(t, "nonce", strings.Repeat("A", 32))}
		})
		for _, name := range []string{"one", "two", "wild"} {
			w.Send(ada, name, "for "+name)
		}
		w.Until("all three came", func() bool { return len(w.letters(ben)) == 3 })
		for _, s := range []*Session{one, two} {
			if got := w.letter(s); got.Reason != "undecryptable" {
				t.Errorf("%s got %+v, want what did not open", s.ID, got)
			}
		}
		w.redeliver(one, w.letter(two).ID, mesh.NotFound)
		held, err := localapi.Letters.Do(t.Context(), wild, localapi.LettersRequest{})
		if err != nil || len(held.Letters) != 0 || held.HeldCount != 1 {
			t.Errorf("got %+v, %v, want one that is held and nothing else", held, err)
		}
		for _, l := range w.letters(ben) {
			w.redeliver(wild, l.ID, mesh.NotFound)
		}
	})
}
