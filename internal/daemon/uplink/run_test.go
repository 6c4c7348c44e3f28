package uplink

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

func TestOpenAndBye(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		frames := make(chan string, 8)
		var ending error
		f := newFake(t, func(_ int, ws *line) {
			ws.welcome(ackOurs)
			for {
				frame, ok := ws.read()
				if !ok {
					ending = ws.err
					close(frames)
					return
				}
				frames <- frame["type"].(string)
			}
		})
		var out sent
		l, stop := start(t, f.options(&out))
		before := l.Changed()
		settle(time.Second)
		wantState(t, l, Open)
		select {
		case <-before:
		default:
			t.Error("got no word of the change, want the channel closed")
		}
		if l.Peer() == nil || l.LastError() != nil {
			t.Errorf("got peer %v, error %v, want a peer and no error", l.Peer(), l.LastError())
		}
		if !l.Has(protocol.CapGo) || l.Has(protocol.CapReceipts) {
			t.Error("got other capabilities than the broker confirmed")
		}
		if got := l.Limits(); got.SendBurst != 200 || got.FrameBytes != 70000 {
			t.Errorf("got limits %+v, want the advertised ones", got)
		}
		stop()
		if got := <-frames; got != "bye" {
			t.Errorf("got frame %s at the end, want bye", got)
		}
		<-frames
		if got := websocket.CloseStatus(ending); got != websocket.StatusNormalClosure || !strings.Contains(ending.Error(), "session_closed") {
			t.Errorf("got %v, want close 1000 session_closed", ending)
		}
		if _, states := out.all(); !cmp.Equal(states, []State{Connecting, Open, Closed}) {
			t.Errorf("got states %v", states)
		}
	})
}

func TestSeedBrokerHasModestLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(_ int, ws *line) { ws.welcome(ackSeed); ws.idle() })
		l, _ := start(t, f.options(new(sent)))
		settle(time.Second)
		wantState(t, l, Open)
		if got := l.Limits(); got.SendPerSecond != 1 || got.SendBurst != 10 || got.BodyBytes != 48_000 || l.Has(protocol.CapGo) {
			t.Errorf("got %+v, want 60 a minute, 10 at once, and no capability", got)
		}
	})
}

// backoffVectors are the known waits.
func backoffVectors(t *testing.T) []time.Duration {
	t.Helper()
	data, err := os.ReadFile("../../seal/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Waits []struct {
			Index  int   `json:"reconnect_attempt_index"`
			WaitMS int64 `json:"wait_ms"`
		} `json:"ws_reconnect_backoff"`
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Waits) == 0 {
		t.Fatalf("got %d waits, %v", len(file.Waits), err)
	}
	var out []time.Duration
	for _, w := range file.Waits {
		out = append(out, time.Duration(w.WaitMS)*time.Millisecond)
	}
	return out
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	want := backoffVectors(t)
	for i, wait := range want {
		if got := (Timing{}).withDefaults().backoff(i); got != wait {
			t.Errorf("failure %d: got %v, want %v", i, got, wait)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		l, _ := start(t, f.options(new(sent)))
		settle(10 * time.Minute)
		wantState(t, l, Reconnecting)
		wantCode(t, l.LastError(), mesh.BrokerDown)
		for i, got := range f.waits()[:len(want)] {
			if low, high := want[i]*8/10, min(want[i]*12/10, 30*time.Second); got < low || got > high {
				t.Errorf("wait %d: got %v, want %v to %v", i, got, low, high)
			}
		}
		if a, b := f.waits()[6], f.waits()[7]; a == b {
			t.Errorf("got %v twice, want jitter", a)
		}
	})
}

func TestWelcomeResetsBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(n int, ws *line) {
			if n%4 == 0 {
				ws.welcome(ackOurs)
			}
			_ = ws.Close(websocket.StatusGoingAway, "shutting down")
		})
		start(t, f.options(new(sent)))
		settle(time.Minute)
		waits := f.waits()
		for i, want := range []time.Duration{1, 2, 4, 1, 2, 4, 8, 1} {
			if got := waits[i].Seconds(); got < 0.8*float64(want)-0.01 || got > 1.2*float64(want)+3 {
				t.Errorf("wait %d: got %v, want about %d s of %v", i, waits[i], want, waits)
			}
		}
	})
}

func TestLesson235Refusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, code string
		close      websocket.StatusCode
		reason     string
		want       State
		wantCode   mesh.Code
		again      time.Duration // when final is false: the least wait
	}{
		{"unauthorized", "unauthorized", 1008, "unauthorized", Rejected, mesh.Unauthorized, 0},
		{"bad signature", "bad_signature", 1008, "bad_signature", Rejected, mesh.BadSignature, 0},
		{"close alone", "", 1008, "malformed", Rejected, mesh.BrokerDown, 0},
		{"revoked", "revoked", 4002, "banned", Banned, mesh.Revoked, 0},
		{"banned alone", "", 4002, "banned", Banned, mesh.BrokerDown, 0},
		{"kicked", "", 4001, "kicked", Kicked, mesh.BrokerDown, 0},
		{"no feature", "", 4010, "feature_unavailable", Rejected, mesh.BrokerDown, 0},
		{"later range", "", 4242, "whatever", Rejected, mesh.BrokerDown, 0},
		{"unknown code, final close", "gone_for_good", 4002, "banned", Banned, mesh.BrokerRefused, 0},
		{"unknown code", "moon_phase", 1008, "moon_phase", Reconnecting, mesh.BrokerRefused, 800 * time.Millisecond},
		{"capacity", "capacity", 1008, "capacity", Reconnecting, mesh.Capacity, 24 * time.Second},
		{"too often", "rate_limit", 1008, "rate_limit", Reconnecting, mesh.RateLimited, 24 * time.Second},
		{"clock", "timestamp_skew", 1008, "timestamp_skew", Reconnecting, mesh.TimestampSkew, 24 * time.Second},
		{"replay", "replay", 1008, "replay", Reconnecting, mesh.Replay, 800 * time.Millisecond},
		{"shutting down", "", 1001, "shutting down", Reconnecting, mesh.BrokerDown, 800 * time.Millisecond},
		{"come back", "", 4100, "slow_consumer", Reconnecting, mesh.BrokerDown, 800 * time.Millisecond},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(_ int, ws *line) { ws.refuse(tc.code, tc.close, tc.reason) })
				l, _ := start(t, f.options(new(sent)))
				settle(600 * time.Millisecond)
				wantState(t, l, tc.want)
				wantCode(t, l.LastError(), tc.wantCode)
				settle(time.Hour)
				wantState(t, l, tc.want)
				waits := f.waits()
				if tc.want.Final() {
					if len(waits) != 0 {
						t.Errorf("got %d more tries, want none", len(waits))
					}
					l.Retry()
					settle(time.Second)
					if len(f.waits()) != 1 {
						t.Errorf("got %d tries after Retry, want one", len(f.waits()))
					}
					return
				}
				if len(waits) == 0 || waits[0] < tc.again || waits[0] > tc.again*2+time.Second {
					t.Errorf("got first waits %v, want %v or a little more", waits[:min(3, len(waits))], tc.again)
				}
			})
		})
	}
}

func TestLesson236ReplacedThreeTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(_ int, ws *line) {
			ws.welcome(ackOurs)
			_ = ws.Close(websocket.StatusNormalClosure, mesh.ReasonReplaced)
		})
		var log bytes.Buffer
		opt := f.options(new(sent))
		opt.Log = slog.New(slog.NewTextHandler(&log, nil))
		_, stop := start(t, opt)
		settle(time.Minute)
		stop()
		waits := f.waits()
		if waits[0] > 2*time.Second || waits[1] > 2*time.Second || waits[2] < 24*time.Second {
			t.Errorf("got waits %v, want two short ones, then about 30 s", waits)
		}
		if got := strings.Count(log.String(), "level=ERROR"); got == 0 {
			t.Errorf("got no error in the log, want one for two daemons:\n%s", &log)
		}
	})
}

func TestBrokerWithoutSessions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		serve func(*line)
		state State
		want  mesh.Code
		tries int
	}{
		"answers no_hello": {func(ws *line) {
			ws.read()
			ws.write(`{"type":"error","code":"no_hello","message":"must send hello first"}`)
			ws.idle()
		}, Unsupported, mesh.NoHello, 1},
		"says nothing": {func(ws *line) { ws.idle() }, Reconnecting, mesh.HelloTimeout, 25},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(_ int, ws *line) { tc.serve(ws) })
				opt := f.options(new(sent))
				opt.Identity = identity(true)
				l, _ := start(t, opt)
				settle(10 * time.Minute)
				wantState(t, l, tc.state)
				wantCode(t, l.LastError(), tc.want)
				if n := len(f.waits()) + 1; n > tc.tries {
					t.Errorf("got %d tries in ten minutes, want at most %d", n, tc.tries)
				}
			})
		})
	}
}

func TestRetryCutsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t}
		l, _ := start(t, f.options(new(sent)))
		settle(5 * time.Minute)
		n := len(f.waits())
		l.Retry()
		l.Retry()
		synctest.Wait()
		if got := len(f.waits()); got != n+1 {
			t.Errorf("got %d tries, want one more than %d", got, n)
		}
	})
}

func TestStopWhileDialling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, conns: make(chan net.Conn), serve: func(int, *line) {}}
		_, stop := start(t, f.options(new(sent)))
		settle(time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("got the end after %v, want it at once", took)
		}
	})
}

func TestLongErrorsAreCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(_ int, ws *line) {
			ws.read()
			ws.write(`{"type":"error","code":"unauthorized","message":"\u001b[31m` + strings.Repeat("é", 1<<20) + `"}`)
			_ = ws.Close(1008, "unauthorized")
		})
		l, _ := start(t, f.options(new(sent)))
		settle(time.Second)
		wantState(t, l, Rejected)
		if text := l.LastError().Error(); len(text) > 310 || strings.Contains(text, "\x1b") {
			t.Errorf("got an error of %d bytes, %.40q, want it cut and clean", len(text), text)
		}
	})
}

// Why a member was banned is said on its open connection, before the close frame; without that one a word changes nothing.
func TestLastWordBeforeABan(t *testing.T) {
	t.Parallel()
	const banned = `{"type":"error","code":"revoked","message":"you are banned from team: spam"}`
	tests := []struct {
		name, word string
		close      websocket.StatusCode
		want       State
		wantCode   mesh.Code
	}{
		{"banned", banned, 4002, Banned, mesh.Revoked},
		{"said, and not done", banned, 1001, Reconnecting, mesh.BrokerDown},
		{"another word", `{"type":"error","code":"unauthorized","message":"no"}`, 4002, Banned, mesh.BrokerDown},
		{"no word", ``, 4002, Banned, mesh.BrokerDown},
		{"too long a word", strings.Replace(banned, "spam", strings.Repeat("spam", 4096), 1), 4002, Banned, mesh.BrokerDown},
		{"an answer", strings.Replace(banned, `"code"`, `"_reqId":"1","code"`, 1), 4002, Banned, mesh.BrokerDown},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, func(_ int, ws *line) {
					ws.welcome(ackOurs)
					if tc.word != "" {
						ws.write(tc.word)
					}
					_ = ws.Close(tc.close, "banned")
				})
				l, _ := start(t, f.options(new(sent)))
				settle(600 * time.Millisecond)
				wantState(t, l, tc.want)
				wantCode(t, l.LastError(), tc.wantCode)
				if got := l.LastError().Error(); strings.Contains(got, "spam") != (tc.wantCode == mesh.Revoked) {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}
