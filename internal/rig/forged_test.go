package rig

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// swapped is a memnet.Tap that lets each frame of some types overtake the one before it.
func swapped(types ...string) memnet.Tap {
	var held [][]byte
	return func(f memnet.Frame) [][]byte {
		switch {
		case f.Direction != memnet.Down || !slices.Contains(types, f.Type):
			return f.Pass()
		case held == nil:
			held = f.Pass()
			return nil
		}
		both := append(f.Pass(), held...)
		held = nil
		return both
	}
}

// A broker may change the order of what it brings. Nothing is lost or doubled by that, and each message is still its sender's.
func TestThreat8ReorderedFrames(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Link(w.broker).Tap(swapped("ack", "receipt"))
		ben.Link(w.broker).Tap(swapped("push"))
		for _, text := range numbers(20) {
			w.Send(ada, "ben", text)
		}
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 20) })
		pass(2 * w.broker.Settings.Lease)
		got := w.Texts(ben)
		if slices.Equal(got, numbers(20)) {
			t.Error("the pushes came in their order")
		}
		if diff := cmp.Diff(sorted(numbers(20)), sorted(got)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		for _, i := range w.Inbox(ben) {
			if !i.Verified || !i.Encrypted {
				t.Errorf("got %+v, want a box that its sender signed", i)
			}
		}
	})
}

func TestThreat8PushForAnotherKey(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "ben", "for ben")
		l.wantTexts(l.ben, "for ben")
		l.say(l.carol, l.pushes[0].with(t))
		l.say(l.carol, l.pushes[0].with(t))
		l.wantShown(l.carol, "-")
		l.wantShown(l.ben, "for ben")
	})
}

// The name of a sender is that of its key, whatever the broker says.
func TestThreat7SwappedSenderName(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.ben.Link(l.broker).Tap(once(memnet.Down, "push", func(f memnet.Frame) [][]byte {
			return [][]byte{decode(t, f.Data).with(t, "senderName", "carol")}
		}))
		l.Send(l.ada, "ben", "hello")
		l.wantTexts(l.ben, "hello")
		if got := l.Inbox(l.ben)[0]; !got.Verified || got.SenderName != "ada" || got.SenderPubkey != l.ada.Mesh("team").Pubkey {
			t.Errorf("got %+v, want ada's key and name", got)
		}
	})
}

// A roster that gives the names of two members to each other's keys is no way to have one's message read by the other.
func TestThreat6SwappedKeysInTheRoster(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		bens, carols := string(l.ben.Mesh("team").Pubkey), string(l.carol.Mesh("team").Pubkey)
		sends := 0
		l.ada.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
			switch {
			case f.Type == "send":
				sends++
			case f.Direction == memnet.Down && f.Type == protocol.ListPeers.Reply:
				return [][]byte{[]byte(strings.NewReplacer(bens, carols, carols, bens).Replace(string(f.Data)))}
			}
			return f.Pass()
		})
		pass(time.Minute) // rosters are a moment old
		_, err := localapi.Send.Do(t.Context(), l.ada, localapi.SendRequest{To: "ben", Message: "secret"})
		if !mesh.IsCode(err, mesh.NameConflict) || sends != 0 {
			t.Errorf("got %v and %d frames, want %s and none: another key was ben's", err, sends, mesh.NameConflict)
		}
		answer, err := localapi.Peers.Do(t.Context(), l.ada, localapi.PeersRequest{})
		l.must(err)
		for _, p := range answer.Peers {
			if p.Verified && !p.IsSelf {
				t.Errorf("%s is verified by the broker's word alone", p.DisplayName)
			}
		}
		l.Send(l.ada, bens, "by his key")
		l.wantTexts(l.ben, "by his key")
		l.wantShown(l.carol)
	})
}

// Forged receipts make no messages, and hide no true ones, whatever number they carry ahead of them.
func TestThreat40ForgedReceipts(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		bens := l.ben.Mesh("team").Pubkey
		l.ben.Stop()
		sent := l.Send(l.ada, "ben", "hello").ClientMessageID
		l.wantState(l.ada, sent, mesh.StateAccepted)
		forge := func(r protocol.Receipt) {
			frame, err := protocol.Receipts.Encode(r)
			l.must(err)
			l.say(l.ada, frame)
		}
		forge(protocol.Receipt{Seq: 7, MessageID: "nobody-sent-this", ClientMessageID: "unknown-id", Recipient: bens, State: mesh.StateDelivered})
		forge(protocol.Receipt{Seq: 1 << 50, MessageID: "nor-this-message", Recipient: bens, State: mesh.StateDelivered})
		forge(protocol.Receipt{Seq: -1, ClientMessageID: sent, Recipient: bens, State: "nonsense"})
		forge(protocol.Receipt{Seq: 9, ClientMessageID: sent, State: mesh.StateDelivered})
		if got := l.status(l.ada, string(sent)); got.State != mesh.StateAccepted {
			t.Errorf("got %+v, want it accepted still", got)
		}
		for _, id := range []string{"unknown-id", "nobody-sent-this", "nor-this-message"} {
			if _, err := localapi.MessageStatus.Do(t.Context(), l.ada, localapi.StatusRequest{ID: id}); !mesh.IsCode(err, mesh.NotFound) {
				t.Errorf("%s: got %v, want %s", id, err, mesh.NotFound)
			}
		}
		if diff := cmp.Diff(map[string]int{"done": 1}, l.outbox(l.ada)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		l.ada.Stop()
		l.ben.Start() // ada misses his receipt
		l.wantTexts(l.ben, "hello")
		pass(time.Second)
		l.ada.Start()
		if got := l.wantState(l.ada, sent, mesh.StateDelivered); got.Recipients[0].Verified {
			t.Errorf("got %+v, want that only the relay says so", got)
		}
	})
}

// What the broker says against its own earlier word moves no message back, and what no recipient signed is not verified.
func TestThreat40ReceiptsThatContradict(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		bens := l.ben.Mesh("team").Pubkey
		sent := l.Send(l.ada, "ben", "hello").ClientMessageID
		l.wantState(l.ada, sent, mesh.StateDelivered)
		for i, s := range []mesh.State{mesh.StateAccepted, mesh.StateQueued, mesh.StateAcknowledged, mesh.StateDelivered} {
			frame, err := protocol.Receipts.Encode(protocol.Receipt{Seq: int64(2 + i), ClientMessageID: sent, Recipient: bens, State: s})
			l.must(err)
			l.say(l.ada, frame)
			got := l.status(l.ada, string(sent))
			if !got.State.Reached(mesh.StateDelivered) || got.Recipients[0].Verified {
				t.Errorf("after %s: got %+v, want it delivered, as far as the relay says", s, got)
			}
		}
	})
}
