package uplink

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

const pushFrame = `{"type":"push","messageId":"ID","meshId":"mesh1","senderPubkey":"k","priority":"next","nonce":"","ciphertext":"","createdAt":""}`

func push(id string) string { return strings.Replace(pushFrame, "ID", id, 1) }

func TestPushesBeforeTheWelcomeAreIgnored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(_ int, ws *line) {
			ws.write(push("early"))
			ws.read()
			ws.write(push("early too"))
			ws.write(`{"type":"ack","id":"x","messageId":"y","queued":true}`)
			ws.write(`no JSON`)
			ws.write(ackOurs)
			for _, id := range []string{"1", "2", "3"} {
				ws.write(push(id))
			}
			ws.idle()
		})
		var out sent
		l, _ := start(t, f.options(&out))
		settle(time.Second)
		wantState(t, l, Open)
		if got, _ := out.all(); !cmp.Equal(got, []string{"1", "2", "3"}) {
			t.Errorf("got pushes %v, want those after the welcome, in order", got)
		}
	})
}

// Nothing overtakes a message that could not be kept: its connection ends, and the next one comes after a long wait.
func TestUnkeptPushEndsTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(_ int, ws *line) {
			ws.welcome(ackOurs)
			for _, id := range []string{"1", "2", "3"} {
				ws.write(push(id))
			}
			ws.idle()
		})
		var out sent
		var room atomic.Bool
		opt := f.options(&out)
		opt.OnPush = func(ctx context.Context, p *wire.Peer, msg protocol.PushedMessage) error {
			if !room.Load() && msg.MessageID == "2" {
				return mesh.Errorf(mesh.StorageFull, "no room")
			}
			return out.push(ctx, p, msg)
		}
		l, _ := start(t, opt)
		settle(time.Second)
		wantState(t, l, Reconnecting)
		wantCode(t, l.LastError(), mesh.StorageFull)
		if got, _ := out.all(); !cmp.Equal(got, []string{"1"}) {
			t.Errorf("got pushes %v, want none after the one that was not kept", got)
		}
		settle(2 * time.Minute)
		room.Store(true)
		settle(time.Minute)
		wantState(t, l, Open)
		if got, _ := out.all(); !cmp.Equal(got[len(got)-3:], []string{"1", "2", "3"}) {
			t.Errorf("got pushes %v, want them all in the end", got)
		}
		if n := len(f.waits()); n < 3 || n > 7 {
			t.Errorf("got %d tries in 3 minutes, want one in 24 to 36 s", n)
		}
	})
}

func TestAckOfAnotherMessageIsIgnored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(_ int, ws *line) {
			ws.welcome(ackOurs)
			ws.read()
			ws.write(`{"type":"ack","id":"other","messageId":"wrong","queued":true}`)
			ws.write(`{"type":"ack","id":"mine","messageId":"right","queued":true}`)
			ws.write(`{"type":"ack","id":"mine","messageId":"twice","queued":true}`)
			ws.idle()
		})
		l, _ := start(t, f.options(new(sent)))
		settle(time.Second)
		ack, err := protocol.Send.Do(t.Context(), l.Peer(), protocol.SendRequest{ID: "mine", Priority: mesh.Next})
		if err != nil || ack.MessageID != "right" {
			t.Errorf("got %+v, %v, want the ack of this message", ack, err)
		}
		synctest.Wait()
		wantState(t, l, Open)
	})
}

// TestFreshHello connects twice, 13 hours apart, and checks every signature as a broker would.
func TestFreshHello(t *testing.T) {
	t.Parallel()
	for _, session := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var hellos []map[string]any
			f := newFake(t, func(n int, ws *line) {
				hello := ws.welcome(ackOurs)
				mu.Lock()
				hellos = append(hellos, hello)
				mu.Unlock()
				if n == 1 {
					<-time.After(13 * time.Hour)
					return
				}
				ws.idle()
			})
			opt := f.options(new(sent))
			opt.Identity = identity(session)
			opt.Timing = Timing{Ping: 20 * time.Hour, DeadAfter: 50 * time.Hour}
			start(t, opt)
			settle(13*time.Hour + time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if len(hellos) != 2 {
				t.Fatalf("got %d hellos, want 2", len(hellos))
			}
			for _, h := range hellos {
				checkHello(t, opt.Identity, h)
			}
		})
	}
}

func checkHello(t *testing.T, id Identity, h map[string]any) {
	t.Helper()
	text := func(name string) string { s, _ := h[name].(string); return s }
	at := time.UnixMilli(int64(h["timestamp"].(float64)))
	sig, err := seal.ParseSignature(text("signature"))
	if err != nil {
		t.Fatal(err)
	}
	role, channel := "control-plane", "claudemesh-daemon"
	if !id.IsSession() {
		err = seal.Hello{MeshID: text("meshId"), MemberID: text("memberId"), Member: id.Member.Public(), At: at}.Verify(sig, at)
		if _, ok := h["sessionPubkey"]; ok {
			t.Error("got a session key in the daemon's hello, want none")
		}
	} else {
		role, channel = "session", "claudemesh-session"
		err = seal.SessionHello{MeshID: text("meshId"), Parent: id.Member.Public(), Session: id.Session.Public(), At: at}.Verify(sig, at)
		word := h["parentAttestation"].(map[string]any)
		end := time.UnixMilli(int64(word["expiresAt"].(float64)))
		wordSig, parseErr := seal.ParseSignature(word["signature"].(string))
		attestation := seal.Attestation{Parent: id.Member.Public(), Session: id.Session.Public(), ExpiresAt: end}
		if err := errors.Join(parseErr, attestation.Verify(wordSig, at)); err != nil {
			t.Errorf("attestation: got %v, want one that is good at the time of its hello", err)
		}
	}
	if err != nil {
		t.Errorf("hello: got %v, want a signature that verifies", err)
	}
	if text("peerRole") != role || text("channel") != channel || text("displayName") != "alpha" || len(text("sessionId")) != 32 {
		t.Errorf("got presence %v", h)
	}
	want := protocol.Capabilities()
	if !id.Session.IsZero() {
		want = protocol.SessionCapabilities() // no receipts: the member's own connection has them
	}
	if got := len(h["capabilities"].([]any)); got != len(want) {
		t.Errorf("got %d capabilities, want %q", got, want)
	}
	if h["pid"] != 0.0 || h["hostname"] != nil {
		t.Errorf("got pid %v and hostname %v, want neither told", h["pid"], h["hostname"])
	}
}

func TestDeadBrokerIsNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(_ int, ws *line) { ws.welcome(ackOurs); ws.idle() })
		f.mute = 1
		l, _ := start(t, f.options(new(sent)))
		settle(74 * time.Second)
		wantState(t, l, Open)
		settle(12 * time.Second)
		if got := f.waits(); len(got) != 1 || got[0] < 75*time.Second || got[0] > 82*time.Second {
			t.Errorf("got waits %v, want one of 75 to 82 s", got)
		}
		settle(time.Hour)
		wantState(t, l, Open)
		if got := len(f.waits()); got != 1 {
			t.Errorf("got %d reconnects, want the answered pings to keep the second connection", got)
		}
	})
}

// TestNudge: a connection that was nudged proves that it lives, or is made anew.
func TestNudge(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		alive bool
		want  int
	}{
		"the broker is still there": {true, 0},
		"the broker is gone":        {false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(_ int, ws *line) { ws.welcome(ackOurs); ws.idle() })
				if !tc.alive {
					f.mute = 1
				}
				l, _ := start(t, f.options(new(sent)))
				settle(2 * time.Second)
				l.Nudge()
				l.Nudge()
				settle(10 * time.Second)
				if got := len(f.waits()); got != tc.want {
					t.Errorf("got %d reconnects within 10 s, want %d", got, tc.want)
				}
			})
		})
	}
}

// TestNudgeCutsTheWait: a nudge connects now, and waits after it are short again; a final state stays.
func TestNudgeCutsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		l, _ := start(t, f.options(new(sent)))
		settle(5 * time.Minute)
		n := len(f.waits())
		l.Nudge()
		settle(5 * time.Second)
		if got := len(f.waits()) - n; got != 3 {
			t.Errorf("got %d tries within 5 s of a nudge, want at once, after 1 and after 2 s", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(_ int, ws *line) { ws.refuse("", 4002, "banned") })
		l, _ := start(t, f.options(new(sent)))
		settle(time.Second)
		l.Nudge()
		settle(time.Minute)
		wantState(t, l, Banned)
		if got := len(f.waits()); got != 0 {
			t.Errorf("got %d tries after a ban, want none", got)
		}
	})
}

func TestTooLargeFrame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(n int, ws *line) {
			ws.welcome(ackOurs)
			if n == 1 {
				ws.write(push(strings.Repeat("x", 70_000)))
			}
			ws.idle()
		})
		var out sent
		opt := f.options(&out)
		opt.ReadLimitBytes = 65_536
		l, _ := start(t, opt)
		settle(10 * time.Second)
		wantState(t, l, Open)
		if got, _ := out.all(); len(got) != 0 || len(f.waits()) != 1 {
			t.Errorf("got pushes %d and %d reconnects, want the frame refused and one reconnect", len(got), len(f.waits()))
		}
	})
}

// TestTooLargeForTheBroker shows that the request under way is blamed, and not the way to the broker.
func TestTooLargeForTheBroker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(n int, ws *line) {
			ws.SetReadLimit(2000)
			ws.welcome(ackOurs)
			ws.idle()
		})
		l, _ := start(t, f.options(new(sent)))
		settle(time.Second)
		_, err := protocol.Send.Do(t.Context(), l.Peer(), protocol.SendRequest{ID: "1", Ciphertext: strings.Repeat("x", 4000), Priority: mesh.Next})
		wantCode(t, err, mesh.PayloadTooLarge)
		settle(5 * time.Second)
		wantState(t, l, Open)
	})
}

// TestCancelledCallKeepsTheConnection shows that a caller who gives up takes nobody else down.
func TestCancelledCallKeepsTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{})
		f := newFake(t, func(_ int, ws *line) {
			ws.welcome(ackOurs)
			<-held // the writes of the client block meanwhile
			ws.idle()
		})
		l, _ := start(t, f.options(new(sent)))
		settle(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for _, id := range []string{"1", "2", "3"} {
			wg.Go(func() {
				if _, err := protocol.Send.Do(ctx, l.Peer(), protocol.SendRequest{ID: id, Priority: mesh.Next}); err == nil {
					t.Error("got an ack, want the caller's deadline")
				}
			})
		}
		settle(2 * time.Second)
		close(held)
		wg.Wait()
		settle(time.Second)
		wantState(t, l, Open)
		if got := len(f.waits()); got != 0 {
			t.Errorf("got %d reconnects, want none", got)
		}
	})
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(_ int, ws *line) {
			ws.welcome(ackOurs)
			ws.write(`{"type":"receipt","seq":7,"messageId":"m","recipient":"k","state":"delivered","at":""}`)
			ws.idle()
		})
		opt := f.options(new(sent))
		got := make(chan protocol.Receipt, 1)
		opt.OnReceipt = func(_ context.Context, p *wire.Peer, r protocol.Receipt) { got <- r }
		start(t, opt)
		settle(time.Second)
		if r := <-got; r.Seq != 7 || r.State != mesh.StateDelivered {
			t.Errorf("got %+v, want the receipt", r)
		}
	})
}
