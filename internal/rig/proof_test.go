package rig

import (
	"maps"
	"testing"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// What a session sends is signed by its own key, for which its member vouches: to one peer, and to everyone.
func TestSessionsProveTheirMessages(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one, reader := w.open(ada, "one"), w.open(ben, "reader")
		w.Send(one, "reader", "to you")
		w.wantTexts(reader, "to you")
		w.Send(one, "*", "to all")
		w.wantTexts(reader, "to you", "to all")
		for _, i := range w.Inbox(reader) {
			if !i.Verified || i.Held || i.SenderName != "one" || i.SenderPubkey != one.Key {
				t.Errorf("got %+v, want a message that session one signed", i)
			}
		}
		if p := w.row(reader, "one"); !p.Verified || p.Attestation == nil {
			t.Errorf("got %+v, want a session for which its member vouches", p)
		}
		w.Send(reader, "one", "back")
		w.wantTexts(one, "back")
	})
}

// A session is told under its own name, whatever the broker calls it; and what a broker took the proof from is kept from
// the model, once its sender is known to sign.
func TestThreat7SessionsAndALyingBroker(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one, reader := w.open(ada, "one"), w.open(ben, "reader")
		w.Send(one, "reader", "true")
		w.wantTexts(reader, "true")
		ben.Link(w.broker).Tap(once(memnet.Down, "push", func(f memnet.Frame) [][]byte {
			return [][]byte{decode(t, f.Data).with(t, "senderName", "human")}
		}))
		w.Send(one, "reader", "renamed")
		w.wantTexts(reader, "true", "renamed")
		ben.Link(w.broker).Tap(once(memnet.Down, "push", func(f memnet.Frame) [][]byte {
			return [][]byte{decode(t, f.Data).without(t, "auth")}
		}))
		w.Send(one, "reader", "stripped")
		w.wantTexts(reader, "true", "renamed", "-")
		got := w.Inbox(reader)
		if got[1].SenderName != "one" || !got[1].Verified || !got[2].Held || got[2].Verified {
			t.Errorf("got %+v, want the second as one's, the third as a header", got[1:])
		}
	})
}

// A session of a member that signs for its sessions cannot be invented, also where others of it are real.
func TestThreat6InventedSessionBesideARealOne(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		real := w.open(ben, "build")
		w.wantPeers(ada, "ada", "build")
		ada.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type != protocol.ListPeers.Reply {
				return f.Pass()
			}
			frame := decode(t, f.Data)
			peers := frame["peers"].([]any)
			for _, p := range peers {
				if row := p.(map[string]any); row["pubkey"] == string(real.Key) {
					fake := maps.Clone(row)
					row["displayName"], fake["pubkey"] = "old build", string(real.Key[32:]+real.Key[:32])
					return [][]byte{frame.with(t, "peers", append(peers, fake))} // with the attestation of the real one
				}
			}
			return f.Pass()
		})
		w.row(ada, "old build") // the roster is read
		if _, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: "build", Message: "secret"}); !mesh.IsCode(err, mesh.Downgrade) && !mesh.IsCode(err, mesh.AmbiguousTarget) {
			t.Errorf("got %v, want that nothing is sent to a key of the broker's", err)
		}
		w.Send(ada, string(real.Key), "by its key")
		w.wantTexts(real, "by its key")
	})
}
