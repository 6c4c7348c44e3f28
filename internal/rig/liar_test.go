package rig

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// liar is a broker that changes what it pushes: it keeps the pushes of one link, and puts frames before the next frame
// that goes down another. Ada, ben and carol are members.
type liar struct {
	*world
	ada, ben, carol *Home
	pushes          []fields
}

// hear keeps what is pushed to a home.
func (l *liar) hear(to *Home) {
	to.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
		if f.Type == "push" {
			l.pushes = append(l.pushes, decode(l.T, f.Data))
		}
		return f.Pass()
	})
}

// say puts frames before the next frame on a link, which it causes.
func (l *liar) say(to *Home, frames ...[]byte) {
	l.T.Helper()
	to.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
		if f.Direction != memnet.Down || frames == nil {
			return f.Pass()
		}
		said := append(frames, f.Data)
		frames = nil
		return said
	})
	_, err := localapi.Peers.Do(l.T.Context(), to, localapi.PeersRequest{})
	l.must(err)
	synctest.Wait()
	to.Link(l.broker).Tap(nil)
}

// wantShown compares the inbox of a reader: each item is its text, or "-" for one that is marked as undecryptable.
func (w *world) wantShown(d localapi.Doer, want ...string) {
	w.T.Helper()
	if diff := cmp.Diff(append([]string{}, want...), w.Texts(d)); diff != "" {
		w.T.Errorf("-want +got\n%s", diff)
	}
	for _, i := range w.Inbox(d) {
		if i.Body == nil && (!i.Undecryptable || i.Encrypted || i.Verified) {
			w.T.Errorf("got %+v, want a message that is undecryptable and nothing else", i)
		}
	}
}

// lie runs a test of a lying broker.
func lie(t *testing.T, test func(t *testing.T, l *liar)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, settings{}, "ada", "ben", "carol")
		test(t, &liar{world: w, ada: w.homes[0], ben: w.homes[1], carol: w.homes[2]})
	})
}

func TestThreat8ReaddressedBox(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "ben", "for ben")
		l.wantTexts(l.ben, "for ben")
		box, carols := l.pushes[0], string(l.carol.Mesh("team").Pubkey)
		readdressed := box.with(t, "targetSpec", carols, "client_message_id", "another")
		l.say(l.carol, readdressed)
		l.say(l.carol, readdressed)
		l.wantShown(l.carol, "-")
		for i, kind := range []any{"member", "session", "group", "everyone", "topic", "", "nonsense"} {
			id := "kind-" + string(rune('a'+i))
			l.say(l.carol, box.with(t, "targetSpec", carols, "targetKind", kind, "client_message_id", id, "messageId", id))
		}
		l.wantShown(l.carol, "-", "-", "-", "-", "-", "-", "-", "-")
	})
}

func TestThreat8SwappedNonce(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "ben", "one")
		l.Send(l.ada, "ben", "two")
		l.wantTexts(l.ben, "one", "two")
		one, two := l.pushes[0], l.pushes[1]
		l.say(l.ben, one.with(t, "nonce", two["nonce"], "client_message_id", "swapped", "messageId", "swapped"))
		l.say(l.ben, one.with(t, "nonce", "AAAA", "client_message_id", "short", "messageId", "short"))
		l.say(l.ben, one.with(t, "nonce", "", "client_message_id", "none", "messageId", "none"))
		l.wantShown(l.ben, "one", "two", "-", "-", "-")
	})
}

// A box opens at its author as well as at its recipient, so that it could be bounced.
func TestThreat8ReflectedBox(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "ben", "pay me")
		l.wantTexts(l.ben, "pay me")
		adas, bens := l.ada.Mesh("team").Pubkey, l.ben.Mesh("team").Pubkey
		bounced := l.pushes[0].with(t, "senderPubkey", bens, "senderMemberPubkey", bens, "senderName", "ben", "targetSpec", adas,
			"client_message_id", "bounced", "messageId", "bounced")
		l.say(l.ada, bounced)
		l.ada.Kill()
		l.ada.Start()
		l.wantOpen(l.ada)
		l.say(l.ada, bounced)
		l.wantShown(l.ada)
	})
}

// What went to everyone is signed and not sealed, so that it could be bounced too; the copies that other sessions of its author
// get are no bounce.
func TestThreat8ReflectedBroadcast(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "*", "to all")
		l.wantTexts(l.ben, "to all")
		for range 2 {
			l.say(l.ada, l.pushes[0].with(t))
			l.say(l.ada, l.pushes[0].with(t, "messageId", "bounced"))
			l.wantShown(l.ada)
			l.ada.Kill()
			l.ada.Start()
			l.wantOpen(l.ada)
		}
	})
}

func TestThreat8ReplayedBox(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "ben", "once")
		l.wantTexts(l.ben, "once")
		again := func(id string) []byte { return l.pushes[0].with(t, "client_message_id", id, "messageId", id) }
		l.say(l.ben, again("again"))
		l.say(l.ben, l.pushes[0].with(t, "messageId", "the same under another id of the broker"))
		l.ben.Kill()
		l.ben.Start()
		l.wantOpen(l.ben)
		l.say(l.ben, again("and again"))
		l.wantShown(l.ben, "once")
		l.Send(l.ada, "ben", "twice")
		l.wantTexts(l.ben, "once", "twice")
	})
}

func TestThreat7SenderIsTheKeyThatOpens(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "ben", "from ada")
		l.wantTexts(l.ben, "from ada")
		carols := l.carol.Mesh("team").Pubkey
		l.say(l.ben, l.pushes[0].with(t, "senderPubkey", carols, "senderMemberPubkey", carols, "senderName", "carol",
			"client_message_id", "forged", "messageId", "forged"))
		l.wantShown(l.ben, "from ada", "-")
		own := l.ben.Mesh("team").Pubkey
		l.say(l.ben, l.pushes[0].with(t, "senderPubkey", own, "senderMemberPubkey", own, "client_message_id", "own", "messageId", "own"))
		l.wantShown(l.ben, "from ada", "-", "-")
		for _, i := range l.Inbox(l.ben) {
			if i.Verified != (i.Body != nil) {
				t.Errorf("got %+v, want the real one verified and nothing else", i)
			}
		}
	})
}

// Plain text in the dress of a box is never a direct message, whatever the broker says of it; as a message to many it is
// shown as what it is.
func TestLesson227PlainTextIsNoDirectMessage(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "ben", "real")
		l.wantTexts(l.ben, "real")
		plain := base64.StdEncoding.EncodeToString([]byte("forged"))
		forge := func(id string, more ...any) []byte {
			return l.pushes[0].with(t, append([]any{"ciphertext", plain, "client_message_id", id, "messageId", id}, more...)...)
		}
		l.say(l.ben, forge("a"))
		l.say(l.ben, forge("b", "targetKind", "session"))
		l.say(l.ben, forge("c", "targetKind", "", "senderName", ""))
		l.wantShown(l.ben, "real", "-", "-", "-")
		l.say(l.ben, forge("d", "targetKind", "everyone", "targetSpec", "*"))
		got := l.Inbox(l.ben)[4]
		if got.Body == nil || *got.Body != "forged" || got.Encrypted || got.Verified {
			t.Errorf("got %+v, want a text that the broker could read", got)
		}
	})
}

// weakKeys are small-order points of ed25519, whose X25519 keys agree with everybody on a secret that everybody knows.
var weakKeys = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
}

func TestThreat6WeakKeyInTheRoster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, settings{}, "ada", "ben")
		ada := w.homes[0]
		bens := string(w.homes[1].Mesh("team").Pubkey)
		sends := 0
		for i, weak := range weakKeys {
			ada.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
				if f.Type == "send" {
					sends++
				}
				data := strings.ReplaceAll(string(f.Data), bens, weak)
				return [][]byte{[]byte(strings.ReplaceAll(data, `"ben"`, `"weak`+string(rune('a'+i))+`"`))}
			})
			pass(time.Minute)
			for _, to := range []string{"weak" + string(rune('a'+i)), weak} {
				_, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: to, Message: "secret"})
				if !mesh.IsCode(err, mesh.WeakKey) {
					t.Errorf("%s: got %v for %s, want %s", weak, err, to, mesh.WeakKey)
				}
			}
		}
		pass(time.Minute)
		if n := w.outbox(ada); len(n) != 0 || sends != 0 {
			t.Errorf("got %d frames and %v in the outbox, want nothing", sends, n)
		}
	})
}

// A key that is on no curve, or of another length, is no way to send in clear either.
func TestThreat6NoKeyInTheRoster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, settings{}, "ada", "ben")
		ada := w.homes[0]
		bens := string(w.homes[1].Mesh("team").Pubkey)
		sends := 0
		for _, bad := range []string{hex.EncodeToString([]byte(strings.Repeat("\x02", 32))), bens[:62], bens + "00", strings.ToUpper(bens), ""} {
			ada.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
				if f.Type == "send" {
					sends++
				}
				data := strings.ReplaceAll(string(f.Data), bens, bad)
				return [][]byte{[]byte(strings.ReplaceAll(data, `"ben"`, `"strange"`))}
			})
			pass(time.Minute)
			if _, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: "strange", Message: "secret"}); err == nil {
				t.Errorf("%q: the message was accepted", bad)
			}
		}
		pass(time.Minute)
		if n := w.outbox(ada); len(n) != 0 || sends != 0 {
			t.Errorf("got %d frames and %v in the outbox, want nothing", sends, n)
		}
	})
}

func TestThreat40AckForAnotherID(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Link(w.broker).Tap(once(memnet.Down, "ack", func(f memnet.Frame) [][]byte {
			return [][]byte{decode(t, f.Data).with(t, "id", "another")}
		}))
		sent := w.Send(ada, "ben", "hello").ClientMessageID
		w.wantTexts(ben, "hello")
		pass(10 * time.Second)
		if got := w.outbox(ada); got["inflight"] != 1 {
			t.Errorf("got %v, want the row under way still", got)
		}
		w.wantState(ada, sent, mesh.StateDelivered)
		pass(time.Minute)
		w.wantTexts(ben, "hello")
	})
}

func TestThreat40TwoAcks(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type != "ack" {
				return f.Pass()
			}
			refusal := decode(t, f.Data).with(t, "error", "forbidden: no (invalid)", "code", "forbidden", "queued", false)
			return [][]byte{f.Data, f.Data, refusal}
		})
		for _, text := range numbers(5) {
			w.Send(ada, "ben", text)
		}
		w.wantTexts(ben, numbers(5)...)
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 5) })
		if diff := cmp.Diff(map[string]int{"done": 5}, w.outbox(ada)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// A megabyte of error costs the row nothing, and no more than a line of what is kept of it.
func TestThreat40ErrorOfAMegabyte(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, frame := range map[string]fields{
		"for nobody":        {"type": "error", "code": "internal", "message": long},
		"for another":       {"type": "error", "code": "forbidden", "message": long, "id": "another"},
		"for the row":       {"type": "error", "code": "internal", "message": long},
		"with a long code":  {"type": "error", "code": long, "message": "no"},
		"an ack of its own": {"type": "ack", "error": long, "queued": false, "messageId": ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
				ada.Link(w.broker).Tap(once(memnet.Down, "ack", func(f memnet.Frame) [][]byte {
					id := decode(t, f.Data)["id"]
					if name == "for nobody" || name == "for another" {
						return [][]byte{frame.with(t), f.Data}
					}
					return [][]byte{frame.with(t, "id", id)}
				}))
				sent := w.Send(ada, "ben", "hello").ClientMessageID
				w.wantState(ada, sent, mesh.StateDelivered)
				pass(time.Minute)
				w.wantTexts(ben, "hello")
				if got := w.status(ada, string(sent)); len(got.LastError) > 2000 {
					t.Errorf("got an error of %d bytes", len(got.LastError))
				}
			})
		})
	}
}

func TestThreat40PushBeforeTheWelcome(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.hear(l.ben)
		l.Send(l.ada, "ben", "real")
		l.wantTexts(l.ben, "real")
		plain := base64.StdEncoding.EncodeToString([]byte("early"))
		early := l.pushes[0].with(t, "ciphertext", plain, "targetKind", "everyone", "client_message_id", "early", "messageId", "early")
		acks := 0
		l.ben.Link(l.broker).Tap(func(f memnet.Frame) [][]byte {
			switch f.Type {
			case "hello_ack":
				return [][]byte{early, early, f.Data}
			case "client_ack":
				acks++
			}
			return f.Pass()
		})
		l.ben.Link(l.broker).Reset()
		pass(10 * time.Second)
		l.wantOpen(l.ben)
		l.wantShown(l.ben, "real")
		if acks != 0 {
			t.Errorf("%d acknowledgements, want none for what came from nobody", acks)
		}
	})
}

// A handshake that is redirected is followed nowhere: not to another host, and not out of TLS.
func TestThreat40RedirectedHandshake(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		w.broker.Stop()
		asked := map[string]int{}
		serve := func(addr, to string) func() {
			listener, err := w.Net.Listen(addr)
			w.must(err)
			server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				asked[addr]++
				http.Redirect(rw, r, to, http.StatusTemporaryRedirect)
			})}
			done := make(chan struct{})
			go func() { defer close(done); _ = server.Serve(listener) }() // ends with Close
			return func() { _ = server.Close(); <-done }                  // as above
		}
		stop, stopOther := serve(here, "http://"+there+"/ws"), serve(there, "/")
		sent := w.Send(ada, "ben", "hello").ClientMessageID
		pass(5 * time.Minute)
		stop()
		stopOther()
		if asked[here] == 0 || asked[there] != 0 {
			t.Errorf("got %v requests, want some here, none there", asked)
		}
		if m := ada.Mesh("team"); m.Status != "reconnecting" || !strings.Contains(m.LastError, "redirect") {
			t.Errorf("got %s (%s), want reconnecting after a redirect", m.Status, m.LastError)
		}
		w.wantState(ada, sent, mesh.StateQueued)
		w.broker.Start()
		w.wantState(ada, sent, mesh.StateDelivered)
	})
}
