package rig

import (
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// A message that waited for its recipient says all that one says which was pushed at once, and everybody calls it by one id.
func TestLesson218OneIDAndEveryField(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		live := w.Send(ada, "ben", "live").ClientMessageID
		liveStatus := w.wantState(ada, live, mesh.StateDelivered)
		ben.Stop()
		answer, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: "ben", Message: "waited", Priority: "now", ReplyToID: string(liveStatus.MessageID)})
		w.must(err)
		accepted := w.wantState(ada, answer.ClientMessageID, mesh.StateAccepted)
		ben.Start()
		status := w.wantState(ada, answer.ClientMessageID, mesh.StateDelivered)
		w.wantTexts(ben, "live", "waited")
		first, waited := w.Inbox(ben)[0], w.Inbox(ben)[1]
		if waited.BrokerMessageID != accepted.MessageID || status.MessageID != accepted.MessageID || waited.ClientMessageID != answer.ClientMessageID {
			t.Errorf("got %+v and %+v, want one id everywhere: %s", waited, status, accepted.MessageID)
		}
		if first.BrokerMessageID != liveStatus.MessageID || first.ClientMessageID != live {
			t.Errorf("got %+v, want the ids %s and %s", first, liveStatus.MessageID, live)
		}
		if waited.ReplyToID == nil || *waited.ReplyToID != string(liveStatus.MessageID) || waited.Priority != mesh.Now || !waited.Verified || waited.CreatedAt == "" {
			t.Errorf("got %+v, want reply, priority, proof and time kept", waited)
		}
		if waited.SenderName != first.SenderName || waited.SenderPubkey != first.SenderPubkey || waited.SenderMemberPubkey != first.SenderMemberPubkey || waited.SenderMemberPubkey == "" {
			t.Errorf("got %+v and %+v, want the same sender of both", waited, first)
		}
	})
}

// What waits in the outbox is sealed for whom it was written to, and goes to nobody else, over restarts of everything.
func TestCLILesson121QueuedStaysForItsRecipient(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.ada.Link(l.broker).Cut()
		l.ben.Stop()
		id := l.Send(l.ada, "ben", "for ben alone").ClientMessageID
		l.ada.Kill()
		l.ada.Start()
		var sent []fields
		l.ada.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "send" {
				sent = append(sent, decode(t, f.Data))
			}
			return f.Pass()
		})
		l.ada.Link(l.broker).Heal()
		l.wantState(l.ada, id, mesh.StateAccepted)
		l.ben.Start()
		l.wantTexts(l.ben, "for ben alone")
		bens := l.ben.Mesh("team").Pubkey
		if len(sent) != 1 || sent[0]["targetSpec"] != string(bens) {
			t.Errorf("got the frames %v, want one to %s", sent, bens)
		}
		pass(time.Minute)
		if got := l.Texts(l.carol); len(got) != 0 {
			t.Errorf("carol has %q, want nothing", got)
		}
		if got := l.Inbox(l.ben)[0]; !got.Encrypted {
			t.Errorf("got %+v, want a box", got)
		}
	})
}

// The inbox is what was kept, whoever was connected when it came, and whoever looks.
func TestCLILesson125InboxIsRead(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		w.Send(ada, "ben", "one")
		w.wantTexts(ben, "one")
		ben.Kill()
		w.Send(ada, "ben", "two")
		ben.Start()
		w.wantTexts(ben, "one", "two")
		ben.Link(w.broker).Cut()
		pass(time.Minute)
		w.wantTexts(ben, "one", "two")
		ben.Stop()
		ben.Start()
		w.wantTexts(ben, "one", "two")
	})
}
