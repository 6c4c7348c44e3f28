package uplink

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// TestAuthIsSignedForThisConnection connects twice, and checks every signature as a broker would.
func TestAuthIsSignedForThisConnection(t *testing.T) {
	t.Parallel()
	for _, session := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			challenges := []seal.Challenge{{}, {1}, {2}}
			hellos := make(chan map[string]any, 2)
			f := newFake(t, func(n int, ws *line) {
				hellos <- ws.welcome(ackOurs)
				if n == 2 {
					ws.idle()
				}
			})
			f.offer = func(n int) string { return challenges[n].String() }
			opt := f.options(new(sent))
			opt.Identity = identity(session)
			var spoke atomic.Int64
			opt.Spoke = func(version int) { spoke.Store(int64(version)) }
			l, _ := start(t, opt)
			settle(time.Minute)
			for _, challenge := range challenges[1:] {
				checkAuth(t, opt.Identity, challenge, <-hellos)
			}
			if l.Auth() != v2 || spoke.Load() != v2 {
				t.Errorf("got version %d, and was told %d, want 2", l.Auth(), spoke.Load())
			}
		})
	}
}

// A session that connects again soon shows the same word of its member, which the broker has verified; later a new one.
func TestAWordIsGivenAgainForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		words := make(chan string, 4)
		f := newFake(t, func(n int, ws *line) {
			auth, _ := ws.welcome(ackOurs)["auth"].(map[string]any)
			word, _ := auth["attestation"].(map[string]any)
			words <- word["signature"].(string)
			switch n {
			case 2:
				<-time.After(seal.VouchLimit / 2)
			case 3:
				ws.idle()
			}
		})
		f.offer = func(n int) string { return seal.Challenge{byte(n)}.String() }
		opt := f.options(new(sent))
		opt.Identity = identity(true)
		opt.Timing = Timing{Ping: time.Hour, DeadAfter: 2 * time.Hour}
		start(t, opt)
		settle(seal.VouchLimit)
		if first, again, later := <-words, <-words, <-words; first != again || again == later {
			t.Errorf("got words %.8s, %.8s and %.8s, want the first one twice", first, again, later)
		}
	})
}

func checkAuth(t *testing.T, id Identity, challenge seal.Challenge, hello map[string]any) {
	t.Helper()
	auth, _ := hello["auth"].(map[string]any)
	if hello["signature"] != nil || hello["parentAttestation"] != nil || auth["challenge"] != challenge.String() || auth["host"] != "127.0.0.1:7900" {
		t.Fatalf("got hello %v, want auth/2 and nothing of version 1", hello)
	}
	text := seal.Auth{Host: "127.0.0.1:7900", MeshID: "mesh1", MemberID: "member1", Member: id.Member.Public(), Challenge: challenge}
	if id.IsSession() {
		text.Session = id.Session.Public()
		word := auth["attestation"].(map[string]any)
		vouch := seal.Vouch{
			Host: word["host"].(string), MeshID: "mesh1", Member: id.Member.Public(), Session: id.Session.Public(),
			NotBefore: time.UnixMilli(int64(word["notBefore"].(float64))), ExpiresAt: time.UnixMilli(int64(word["expiresAt"].(float64))),
		}
		if err := errors.Join(text.VerifySession(signature(t, auth["sessionSignature"])), vouch.Verify(signature(t, word["signature"]), time.Now())); err != nil {
			t.Errorf("session: got %v, want signatures that verify", err)
		}
	}
	if err := text.VerifyMember(signature(t, auth["memberSignature"])); err != nil {
		t.Errorf("member: got %v, want a signature that verifies", err)
	}
}

func signature(t *testing.T, text any) seal.Signature {
	t.Helper()
	s, _ := text.(string)
	sig, err := seal.ParseSignature(s)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// A broker that once spoke auth/2 is never answered with version 1, and is answered again when it speaks auth/2 again
// (design C4).
func TestWeakerHandshakeIsNotAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var offers atomic.Bool
		var hellos atomic.Int64
		f := newFake(t, func(_ int, ws *line) {
			if hello, ok := ws.read(); ok && hello["type"] == "hello" {
				hellos.Add(1)
			}
			ws.write(ackOurs)
			ws.idle()
		})
		f.offer = func(int) string {
			if offers.Load() {
				return seal.NewChallenge().String()
			}
			return ""
		}
		opt := f.options(new(sent))
		opt.Strongest = func() int { return v2 }
		l, _ := start(t, opt)
		settle(10 * time.Minute)
		wantState(t, l, Reconnecting)
		wantCode(t, l.LastError(), mesh.WeakerHandshake)
		if n := hellos.Load(); n != 0 {
			t.Errorf("%d hellos were sent, want none", n)
		}
		if waits := f.waits(); len(waits) < 5 || waits[0] < 20*time.Second {
			t.Errorf("got waits %v, want long ones", waits)
		}
		offers.Store(true)
		settle(time.Minute)
		wantState(t, l, Open)
	})
}

func TestOddChallenges(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{"x", seal.Challenge{}.String(), seal.NewChallenge().String() + "00"} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, func(_ int, ws *line) {
				if _, ok := ws.read(); ok {
					t.Errorf("challenge %q was answered", challenge)
				}
			})
			f.offer = func(int) string { return challenge }
			l, _ := start(t, f.options(new(sent)))
			settle(time.Minute)
			wantCode(t, l.LastError(), mesh.BrokerRefused)
		})
	}
}
