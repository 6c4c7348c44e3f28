package rig

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// roster lets a test change the rosters that a home is told.
func (l *liar) roster(to *Home, change func(peers []any) []any) {
	to.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
		if f.Direction != memnet.Down || f.Type != protocol.ListPeers.Reply {
			return f.Pass()
		}
		frame := decode(l.T, f.Data)
		return [][]byte{frame.with(l.T, "peers", change(frame["peers"].([]any)))}
	})
	pass(time.Minute) // rosters are a moment old
}

// sendTo sends as a user who may be refused.
func (l *liar) sendTo(from *Home, to string, edit func(*localapi.SendRequest)) error {
	req := localapi.SendRequest{To: to, Message: "to " + to}
	if edit != nil {
		edit(&req)
	}
	_, err := localapi.Send.Do(l.T.Context(), from, req)
	return err
}

// levels are the keys that a home knows, as name and level.
func (w *world) levels(h *Home) []string {
	w.T.Helper()
	answer, err := localapi.Trust.Do(w.T.Context(), h, localapi.TrustRequest{})
	w.must(err)
	var got []string
	for _, k := range answer.Keys {
		got = append(got, k.Name+" "+k.Level)
	}
	return sorted(got)
}

// Messages to many are signed as boxes are: whatever the broker changes about one, it is not shown as its sender's.
func TestThreat7ChangedMessages(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.Send(l.ada, "*", "true")
		l.wantTexts(l.ben, "true")
		if got := l.Inbox(l.ben)[0]; !got.Verified || got.SenderName != "ada" || got.Encrypted {
			t.Fatalf("got %+v, want a text that ada signed", got)
		}
		carols, forged := l.carol.Mesh("team").Pubkey, seal.Base64([]byte("forged"))
		want := []string{"true"}
		for name, change := range map[string]func(fields) []byte{
			"forged text":    func(f fields) []byte { return f.with(t, "ciphertext", forged) },
			"other priority": func(f fields) []byte { return f.with(t, "priority", "now") },
			"an answer":      func(f fields) []byte { return f.with(t, "replyToId", "abcdefghijklmnopqrstuvwxyzABCDEF") },
			"other target":   func(f fields) []byte { return f.with(t, "targetSpec", "@team", "targetKind", "group") },
			"other id":       func(f fields) []byte { return f.with(t, "client_message_id", "another") },
			"without proof":  func(f fields) []byte { return f.without(t, "auth") },
			"of carol": func(f fields) []byte {
				return f.with(t, "senderPubkey", carols, "senderMemberPubkey", carols, "senderName", "carol")
			},
			"as a session":    func(f fields) []byte { return f.with(t, "senderPubkey", carols) },
			"a reminder":      func(f fields) []byte { return f.with(t, "subtype", "reminder") },
			"of another time": func(f fields) []byte { f["auth"].(map[string]any)["sentAt"] = 7.0; return f.with(t) },
			"renamed":         func(f fields) []byte { f["auth"].(map[string]any)["name"] = "carol"; return f.with(t) },
		} {
			l.ben.Link(l.broker).Tap(once(memnet.Down, "push", func(f memnet.Frame) [][]byte { return [][]byte{change(decode(t, f.Data))} }))
			l.Send(l.ada, "*", name)
			if name == "forged text" {
				want = append(want, "forged")
			} else {
				want = append(want, name)
			}
			l.wantTexts(l.ben, want...)
			if got := l.Inbox(l.ben)[len(want)-1]; got.Verified {
				t.Errorf("%s: got %+v, want that nothing is verified", name, got)
			}
		}
	})
}

// What was signed once is no other message, and no message of somebody else's, however often it comes.
func TestThreat8ReplayedProofs(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "*", "once")
		l.wantTexts(l.ben, "once")
		push, bens := l.pushes[0], l.ben.Mesh("team").Pubkey
		l.say(l.ben, push.with(t, "messageId", "another"))
		l.say(l.ben, push.with(t, "client_message_id", "again", "messageId", "again"))
		l.wantShown(l.ben, "once", "once")
		if got := l.Inbox(l.ben)[1]; got.Verified {
			t.Errorf("under another id: got %+v, want that it is not verified", got)
		}
		l.say(l.ada, push.with(t, "senderPubkey", bens, "senderMemberPubkey", bens, "senderName", "ben"))
		if got := l.Inbox(l.ada); len(got) != 0 {
			t.Errorf("bounced as ben's: got %+v, want that who sent it does not get it", got)
		}
	})
}

// A broker that takes the proofs away makes nothing worse than claimed, and its word that it knows no proofs counts for
// nothing once it has met us by auth/2.
func TestThreat7StrippedProofs(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.Send(l.ada, "ben", "signed")
		l.wantTexts(l.ben, "signed")
		l.ben.Link(l.broker).Tap(once(memnet.Down, "push", func(f memnet.Frame) [][]byte {
			return [][]byte{decode(t, f.Data).without(t, "auth")}
		}))
		l.Send(l.ada, "ben", "stripped")
		l.wantTexts(l.ben, "signed", "stripped")
		if got := l.Inbox(l.ben); !got[0].Verified || got[1].Verified || !got[1].Encrypted {
			t.Errorf("got %+v, want the first verified, the second a box of a sender that is claimed", got)
		}
		sends := 0
		l.ada.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
			switch frame := decode(t, f.Data); {
			case f.Type == "hello_ack":
				return [][]byte{frame.with(t, "capabilities", []string{"claudemesh.go/1", "client_ack"})}
			case f.Type == "send" && frame["auth"] == nil:
				t.Error("a message left without its proof")
			case f.Type == "send":
				sends++
			}
			return f.Pass()
		})
		l.ada.Link(l.broker).Reset()
		pass(10 * time.Second)
		l.Send(l.ada, "ben", "still signed")
		l.wantTexts(l.ben, "signed", "stripped", "still signed")
		if sends != 1 {
			t.Errorf("got %d sends, want one", sends)
		}
	})
}

// The names of a roster are the broker's word: what is pinned stands against it, also after a restart.
func TestThreat6LiesAboutNames(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		bens, carols := l.ben.Mesh("team").Pubkey, l.carol.Mesh("team").Pubkey
		name := func(of mesh.Key, as string) func([]any) []any {
			return func(peers []any) []any {
				for _, p := range peers {
					if row := p.(map[string]any); row["memberPubkey"] == string(of) {
						row["memberName"], row["displayName"] = as, as
					}
				}
				return peers
			}
		}
		l.ada.Kill()
		l.ada.Start()
		l.wantOpen(l.ada)
		l.roster(l.ada, name(carols, "ben"))
		if err := l.sendTo(l.ada, "ben", nil); !mesh.IsCode(err, mesh.NameConflict) {
			t.Errorf("carol called ben: got %v, want %s", err, mesh.NameConflict)
		}
		l.roster(l.ada, name(bens, "nobody"))
		l.must(l.sendTo(l.ada, "ben", nil))
		l.wantTexts(l.ben, "to ben")
		hidden := func(peers []any) []any {
			return slices.DeleteFunc(name(carols, "ben")(peers), func(p any) bool { return p.(map[string]any)["memberPubkey"] == string(bens) })
		}
		l.roster(l.ada, hidden)
		if err := l.sendTo(l.ada, "ben", nil); !mesh.IsCode(err, mesh.KeyChanged) {
			t.Errorf("ben with another key: got %v, want %s", err, mesh.KeyChanged)
		}
		if err := l.sendTo(l.ada, "ben", func(r *localapi.SendRequest) { r.AllowDowngrade = true }); !mesh.IsCode(err, mesh.KeyChanged) {
			t.Errorf("ben with another key, and downgrades allowed: got %v, want %s", err, mesh.KeyChanged)
		}
		l.wantShown(l.carol)
		if _, err := localapi.TrustAccept.Do(t.Context(), l.ada, localapi.TrustDecision{Peer: string(carols)}); err != nil {
			t.Fatal(err)
		}
		l.must(l.sendTo(l.ada, "ben", nil)) // the human has decided
		l.wantTexts(l.carol, "to ben")
		if diff := cmp.Diff([]string{"ada seen", "ben accepted", "ben replaced"}, l.levels(l.ada)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// A sender does not get another's name by the broker's or by its own word.
func TestThreat7StolenNames(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "*", "hello")
		l.wantTexts(l.ben, "hello")
		l.roster(l.ben, func(peers []any) []any {
			for _, p := range peers {
				if row := p.(map[string]any); row["memberName"] == "ada" {
					row["memberName"], row["displayName"] = "carol", "carol"
				}
			}
			return peers
		})
		got := l.Inbox(l.ben)[0]
		if !got.Verified || got.SenderName != "ada" {
			t.Errorf("got %+v, want the name under which the key is pinned", got)
		}
		answer, err := localapi.Peers.Do(t.Context(), l.ben, localapi.PeersRequest{})
		l.must(err)
		for _, p := range answer.Peers {
			if p.DisplayName == "carol" && p.Verified {
				t.Errorf("got %+v, want nobody verified under a name that two have", p)
			}
		}
	})
}

// A key that the broker calls a session of a member who signs for its sessions gets nothing.
func TestThreat6InventedSession(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.Send(l.ben, "ada", "ben signs")
		l.wantTexts(l.ada, "ben signs")
		evil := seal.NewSecretKey().Public().String()
		l.roster(l.ada, func(peers []any) []any {
			return append(peers, map[string]any{
				"pubkey": evil, "memberPubkey": l.ben.Mesh("team").Pubkey, "memberName": "ben", "displayName": "build", "status": "idle",
				"groups": []any{}, "sessionId": "x", "peerRole": "session", "proved": true,
			})
		})
		for _, to := range []string{"build", evil[:16]} {
			if err := l.sendTo(l.ada, to, nil); !mesh.IsCode(err, mesh.Downgrade) {
				t.Errorf("%s: got %v, want %s", to, err, mesh.Downgrade)
			}
		}
		answer, err := localapi.Peers.Do(t.Context(), l.ada, localapi.PeersRequest{})
		l.must(err)
		if i := slices.IndexFunc(answer.Peers, func(p localapi.Peer) bool { return p.DisplayName == "build" }); i < 0 || answer.Peers[i].Verified {
			t.Errorf("got %+v, want a session that is claimed", answer.Peers)
		}
		l.must(l.sendTo(l.ada, "ben", nil)) // the member itself is not in doubt
		l.wantTexts(l.ben, "to ben")
		l.must(l.sendTo(l.ada, "build", func(r *localapi.SendRequest) { r.AllowDowngrade = true }))
	})
}

var challenge = regexp.MustCompile(`(?i)claudemesh-challenge: [0-9a-f]{64}\r\n`)

// A broker that once spoke auth/2 is answered by nothing less, also after a restart, and says so.
func TestThreat9DowngradedHandshake(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		if m := ada.Mesh("team"); m.Auth != "auth/2" {
			t.Fatalf("got %+v, want auth/2", m)
		}
		hellos := 0
		ada.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "hello" {
				hellos++
			}
			return f.Pass()
		})
		ada.Link(w.broker).Answer(func(head string) string { return challenge.ReplaceAllString(head, "") })
		ada.Link(w.broker).Reset()
		pass(5 * time.Minute)
		ada.Kill()
		ada.Start()
		pass(5 * time.Minute)
		if m := ada.Mesh("team"); m.Status != "reconnecting" || !strings.Contains(m.LastError, "older handshake") || hellos != 0 {
			t.Errorf("got %d hellos, %s: %s, want none, and why", hellos, m.Status, m.LastError)
		}
		sent := w.Send(ada, "ben", "waits").ClientMessageID
		ada.Link(w.broker).Answer(nil)
		w.wantState(ada, sent, mesh.StateDelivered)
		w.wantTexts(ben, "waits")
	})
}

// Who knows that the broker went back to an older one takes that in by leaving the mesh and joining it again, as the hint of
// the refusal says: a new member with a new key, and nothing of before. From then on the stronger handshake counts again.
func TestThreat9DowngradeIsAcceptedByJoiningAgain(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		older := func(head string) string { return challenge.ReplaceAllString(head, "") }
		ben.Link(w.broker).Answer(older)
		ben.Link(w.broker).Reset()
		w.Until("ben refuses it", func() bool { return strings.Contains(ben.Mesh("team").LastError, "older handshake") })
		before := ben.Mesh("team").Pubkey
		if hint := mesh.WeakerHandshake.Hint(); !strings.Contains(hint, "`claudemesh leave <mesh> --yes` and join it again") {
			t.Errorf("the hint is %q, want what this test does", hint)
		}
		_, err := localapi.MeshLeave.Do(t.Context(), ben, localapi.MeshLeaveRequest{Slug: "team"})
		if err == nil {
			t.Error("ben left without --yes: the broker was not told")
		}
		_, err = localapi.MeshLeave.Do(t.Context(), ben, localapi.MeshLeaveRequest{Slug: "team", Force: true})
		w.must(err)
		ada.Join("team", ben)
		w.wantOpen(ben)
		if m := ben.Mesh("team"); m.Auth != "auth/1" || m.Pubkey == before {
			t.Errorf("got %+v, want auth/1 with a new key", m)
		}
		w.Send(ben, "ada", "here again")
		w.wantTexts(ada, "here again")

		ben.Link(w.broker).Answer(nil)
		ben.Link(w.broker).Reset()
		w.Until("ben speaks auth/2", func() bool { return ben.Mesh("team").Auth == "auth/2" })
		ben.Link(w.broker).Answer(older)
		ben.Link(w.broker).Reset()
		w.Until("ben refuses it", func() bool { return strings.Contains(ben.Mesh("team").LastError, "older handshake") })
	})
}

// A hello that was overheard opens no other connection, and neither does one for a challenge of somebody else.
func TestThreat9ReplayedAndReflectedHello(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		var overheard []byte
		l.ada.Link(l.broker).Tap(once(memnet.Up, "hello", func(f memnet.Frame) [][]byte { overheard = f.Data; return f.Pass() }))
		l.ada.Link(l.broker).Reset()
		pass(10 * time.Second)
		l.wantOpen(l.ada)
		if strings.Contains(string(overheard), `"signature"`) || !strings.Contains(string(overheard), `"challenge"`) {
			t.Fatalf("got hello %s, want nothing of version 1 in it", overheard)
		}
		l.carol.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "hello" {
				return [][]byte{overheard}
			}
			return f.Pass()
		})
		l.carol.Link(l.broker).Reset()
		pass(10 * time.Second)
		if m := l.carol.Mesh("team"); m.Status != "reconnecting" || !strings.Contains(m.LastError, "another connection") {
			t.Errorf("a replayed hello: got %s: %s, want it refused", m.Status, m.LastError)
		}
		l.carol.Link(l.broker).Tap(nil)
		reflected := seal.NewChallenge().String()
		l.carol.Link(l.broker).Answer(func(head string) string {
			return challenge.ReplaceAllString(head, "Claudemesh-Challenge: "+reflected+"\r\n")
		})
		l.carol.Link(l.broker).Reset()
		pass(time.Minute)
		if m := l.carol.Mesh("team"); m.Status == "open" {
			t.Error("a hello for another challenge was let in")
		}
		l.carol.Link(l.broker).Answer(nil)
		pass(time.Minute)
		l.wantOpen(l.carol)
	})
}

// A rejected key is written to by no name, and signs nothing that counts.
func TestRejectedPeer(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		w.Send(ben, "ada", "before")
		w.wantTexts(ada, "before")
		_, err := localapi.TrustReject.Do(t.Context(), ada, localapi.TrustDecision{Peer: "ben"})
		w.must(err)
		for _, to := range []string{"ben", string(ben.Mesh("team").Pubkey)} {
			if _, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: to, Message: "x"}); !mesh.IsCode(err, mesh.PeerRejected) {
				t.Errorf("%s: got %v, want %s", to, err, mesh.PeerRejected)
			}
		}
		w.Send(ben, "ada", "after")
		w.wantTexts(ada, "before", "after")
		for _, i := range w.Inbox(ada) {
			if i.Verified {
				t.Errorf("got %+v, want it claimed", i)
			}
		}
		_, err = localapi.TrustAccept.Do(t.Context(), ada, localapi.TrustDecision{Peer: "ben"})
		w.must(err)
		w.Send(ada, "ben", "again")
		w.wantTexts(ben, "again")
		for _, i := range w.Inbox(ada) {
			if !i.Verified {
				t.Errorf("got %+v, want it verified again", i)
			}
		}
	})
}

// Both sides see the same number (daemon 25, row 34).
func TestLesson2214SafetyNumbersAgree(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		number := func(of *Home, peer string) localapi.SafetyNumber {
			answer, err := localapi.Verify.Do(t.Context(), of, localapi.VerifyRequest{Peer: peer})
			w.must(err)
			if len(answer.Numbers) != 1 {
				t.Fatalf("got %+v, want one number", answer.Numbers)
			}
			return answer.Numbers[0]
		}
		adas, bens := number(ada, "ben"), number(ben, "ada")
		if adas.Number != bens.Number || len(adas.Number) != 35 || adas.Pubkey != ben.Mesh("team").Pubkey {
			t.Errorf("got %+v and %+v, want one number", adas, bens)
		}
		if adas.Fingerprint != bens.Own || bens.Fingerprint != adas.Own || adas.Own == bens.Own || len(adas.Own) != 35 {
			t.Errorf("got %+v and %+v, want each to show of itself what the other shows of it", adas, bens)
		}
		if _, err := localapi.Verify.Do(t.Context(), ada, localapi.VerifyRequest{Peer: "zoe"}); !mesh.IsCode(err, mesh.TargetNotFound) {
			t.Errorf("got %v, want %s", err, mesh.TargetNotFound)
		}
		if _, err := localapi.TrustAccept.Do(t.Context(), ada, localapi.TrustDecision{Peer: "ada"}); !mesh.IsCode(err, mesh.SelfSend) {
			t.Errorf("got %v, want %s", err, mesh.SelfSend)
		}
	})
}

// Two members of one name who are both there keep it when the human says so, and are then written to by their keys.
func TestTwoPeersOfOneName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, settings{}, "ada", "ben")
		ada := w.homes[0]
		other := w.Home("other", nil)
		other.Name = "ben"
		ada.Join("team", other)
		pass(time.Minute)
		l := &liar{world: w}
		if err := l.sendTo(ada, "ben", nil); !mesh.IsCode(err, mesh.NameConflict) {
			t.Errorf("got %v, want %s", err, mesh.NameConflict)
		}
		answer, err := localapi.TrustAccept.Do(t.Context(), ada, localapi.TrustDecision{Peer: "ben"})
		if err != nil || answer.Key.Pubkey != other.Mesh("team").Pubkey || len(answer.Key.Holders) != 2 {
			t.Fatalf("got %+v, %v, want the one that waited for a decision", answer, err)
		}
		if err := l.sendTo(ada, "ben", nil); !mesh.IsCode(err, mesh.AmbiguousTarget) {
			t.Errorf("got %v, want %s", err, mesh.AmbiguousTarget)
		}
		if _, err := localapi.TrustReject.Do(t.Context(), ada, localapi.TrustDecision{Peer: "ben"}); !mesh.IsCode(err, mesh.AmbiguousTarget) {
			t.Errorf("got %v, want %s", err, mesh.AmbiguousTarget)
		}
		l.must(l.sendTo(ada, string(other.Mesh("team").Pubkey), nil))
		w.Until("it is there", func() bool { return len(w.Inbox(other)) == 1 })
	})
}
