package rig

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

func TestBothWays(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		w.Send(ada, "ben", "to ben")
		w.wantTexts(ben, "to ben")
		w.Send(ben, "ada", "to ada")
		w.wantTexts(ada, "to ada")
		got := w.Inbox(ada)[0]
		if !got.Encrypted || got.SenderName != "ben" || got.RecipientKind != "member" || got.SenderPubkey != ben.Mesh("team").Pubkey {
			t.Errorf("got %+v, want a box of ben's to the member", got)
		}
	})
}

func TestLesson213OfflineRecipient(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ben.Stop()
		pass(3 * time.Second) // rosters are a moment old
		answer := w.Send(ada, "ben", "for later")
		if answer.RecipientOnline == nil || *answer.RecipientOnline {
			t.Errorf("got %+v, want that ben is offline", answer)
		}
		w.wantState(ada, answer.ClientMessageID, mesh.StateAccepted)
		pass(time.Hour)
		ben.Start()
		w.wantTexts(ben, "for later")
		w.wantState(ada, answer.ClientMessageID, mesh.StateDelivered)
	})
}

// A message takes several trips; the next ones go before the first is through.
func TestLesson2310OrderOfTwoHundred(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		for _, h := range []*Home{ada, ben} {
			h.Link(w.broker).Delay(func() time.Duration { return 20 * time.Millisecond })
		}
		for _, text := range numbers(200) {
			w.Send(ada, "ben", text)
		}
		w.wantTexts(ben, numbers(200)...)
	})
}

// The broker admits one burst and then 20 a second, and the daemon does not know it: every refusal is one of rate.
func TestAcceptance8RateLimitKillsNothing(t *testing.T) {
	set := settings{
		broker: func(b *config.Broker) { b.SendPerSecond, b.SendBurst = 20, 20 },
		daemon: func(d *config.Daemon) { d.SendPerSecond, d.SendBurst = 40, 40 },
	}
	bubble(t, set, func(t *testing.T, w *world, ada, ben *Home) {
		for _, text := range numbers(200) {
			w.Send(ada, "ben", text)
		}
		w.wantTexts(ben, numbers(200)...)
		pass(time.Second)
		if diff := cmp.Diff(map[string]int{"done": 200}, w.outbox(ada)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// A daemon that obeys what the broker advertises is never refused.
func TestAcceptance8RateLimitIsObeyed(t *testing.T) {
	set := settings{broker: func(b *config.Broker) { b.SendPerSecond, b.SendBurst = 20, 20 }}
	bubble(t, set, func(t *testing.T, w *world, ada, ben *Home) {
		refused := 0
		ada.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "ack" && decode(t, f.Data)["code"] != nil {
				refused++
			}
			return f.Pass()
		})
		began := time.Now()
		for _, text := range numbers(100) {
			w.Send(ada, "ben", text)
		}
		w.wantTexts(ben, numbers(100)...)
		if took := time.Since(began); took < 4*time.Second || took > 5*time.Second {
			t.Errorf("100 messages took %v, want 20 at once and 20 in each of 4 s", took)
		}
		pass(time.Second)
		if refused > 2 { // the two buckets are not filled by the same clock tick
			t.Errorf("%d sends were refused, want at most 2", refused)
		}
	})
}

// The id is looked up before anything is resolved.
func TestLesson32RetryOfADoneIDWhileThePeerIsAway(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		first := w.Send(ada, "ben", "once")
		w.wantState(ada, first.ClientMessageID, mesh.StateDelivered)
		ben.Stop()
		ada.Link(w.broker).Cut()
		pass(time.Minute)
		req := localapi.SendRequest{To: "ben", Message: "once", ClientMessageID: string(first.ClientMessageID)}
		again, err := localapi.Send.Do(t.Context(), ada, req)
		if err != nil || !again.Duplicate || again.HTTPStatus() != 200 || again.BrokerMessageID == "" {
			t.Errorf("got %+v, %v, want a duplicate with its broker id", again, err)
		}
		req.Message = "twice"
		if _, err := localapi.Send.Do(t.Context(), ada, req); !mesh.IsCode(err, mesh.Reused) {
			t.Errorf("got %v for another text under the id, want %s", err, mesh.Reused)
		}
		ben.Start()
		ada.Link(w.broker).Heal()
		pass(time.Minute)
		w.wantTexts(ben, "once")
	})
}

func TestLesson33RetryToAnotherMesh(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Found(w.broker, "other")
		ada.Join("other", ben)
		req := localapi.SendRequest{To: "ben", Message: "hello", Mesh: "team", ClientMessageID: "the-one"}
		if _, err := localapi.Send.Do(t.Context(), ada, req); err != nil {
			t.Fatal(err)
		}
		w.wantTexts(ben, "hello")
		req.Mesh = "other"
		if _, err := localapi.Send.Do(t.Context(), ada, req); !mesh.IsCode(err, mesh.Reused) {
			t.Errorf("got %v, want %s", err, mesh.Reused)
		}
		pass(time.Second)
		w.wantTexts(ben, "hello")
	})
}
