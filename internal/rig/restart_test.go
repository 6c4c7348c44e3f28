package rig

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// ways are how a process can end.
var ways = []string{"stop", "kill"}

func (b *Broker) endBy(way string) {
	if way == "kill" {
		b.Kill()
		return
	}
	b.Stop()
}

func (h *Home) endBy(way string) {
	if way == "kill" {
		h.Kill()
		return
	}
	h.Stop()
}

// startKilled starts it if it was killed.
func (b *Broker) startKilled() bool {
	b.mu.Lock()
	killed := b.killed
	b.mu.Unlock()
	if killed {
		b.Start()
	}
	return killed
}

// startKilled starts it if it was killed.
func (h *Home) startKilled() bool {
	h.mu.Lock()
	killed := h.killed
	h.mu.Unlock()
	if killed {
		h.Start()
	}
	return killed
}

// eachWay runs a test for each way to end a process.
func eachWay(t *testing.T, test func(t *testing.T, way string, w *world, ada, ben *Home)) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) { test(t, way, w, ada, ben) })
		})
	}
}

func TestBrokerRestartKeepsTheQueue(t *testing.T) {
	eachWay(t, func(t *testing.T, way string, w *world, ada, ben *Home) {
		ben.endBy(way)
		var last mesh.ClientID
		for _, text := range numbers(30) {
			last = w.Send(ada, "ben", text).ClientMessageID
		}
		w.wantState(ada, last, mesh.StateAccepted)
		w.broker.endBy(way)
		last = w.Send(ada, "ben", "30").ClientMessageID
		pass(time.Minute)
		w.broker.Start()
		ben.Start()
		w.wantTexts(ben, numbers(31)...)
		w.wantState(ada, last, mesh.StateDelivered)
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 31) })
	})
}

// The broker ends while pushes are not acknowledged and receipts are not sent.
func TestBrokerRestartInTheMiddle(t *testing.T) {
	eachWay(t, func(t *testing.T, way string, w *world, ada, ben *Home) {
		for _, h := range []*Home{ada, ben} {
			h.Link(w.broker).Delay(func() time.Duration { return 30 * time.Millisecond })
		}
		for i := range 8 {
			w.wantOpen(ada)
			w.wantOpen(ben)
			for j := range 5 {
				w.Send(ada, "ben", fmt.Sprint(5*i+j))
			}
			<-time.After(time.Duration(20+17*i) * time.Millisecond) // between two of the steps of 30 ms
			w.broker.endBy(way)
			w.broker.Start()
		}
		w.wantTexts(ben, numbers(40)...)
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 40) })
		w.wantTexts(ben, numbers(40)...)
	})
}

func TestLesson3DaemonRestartWithPendingRows(t *testing.T) {
	eachWay(t, func(t *testing.T, way string, w *world, ada, ben *Home) {
		ada.Link(w.broker).Cut()
		pass(time.Second)
		for _, text := range numbers(10) {
			w.Send(ada, "ben", text)
		}
		ada.endBy(way)
		pass(time.Minute)
		ada.Start()
		if diff := cmp.Diff(map[string]int{"pending": 10}, w.outbox(ada)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		ada.Link(w.broker).Heal()
		w.wantTexts(ben, numbers(10)...)
	})
}

// The broker has the messages, and the daemon ends before it hears so.
func TestLesson3DaemonRestartWithInflightRows(t *testing.T) {
	eachWay(t, func(t *testing.T, way string, w *world, ada, ben *Home) {
		ada.Link(w.broker).Stall(memnet.Down)
		for _, text := range numbers(10) {
			w.Send(ada, "ben", text)
		}
		w.wantTexts(ben, numbers(10)...)
		if n := w.outbox(ada)["inflight"]; n == 0 {
			t.Error("nothing is under way")
		}
		ada.endBy(way)
		ada.Link(w.broker).Heal()
		ada.Start()
		w.Send(ada, "ben", "10")
		w.wantTexts(ben, numbers(11)...)
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 11) })
		w.wantTexts(ben, numbers(11)...)
	})
}

// A recipient that dies between its disk and its acknowledgement, again and again.
func TestRecipientRestartBeforeItAcknowledges(t *testing.T) {
	eachWay(t, func(t *testing.T, way string, w *world, ada, ben *Home) {
		ben.Link(w.broker).Stall(memnet.Up) // of what it says
		ben.endBy(way)
		ben.Link(w.broker).Heal()
		ben.Start()
		for i := range 4 {
			w.wantOpen(ben)
			ben.Link(w.broker).Stall(memnet.Up)
			for j := range 5 {
				w.Send(ada, "ben", fmt.Sprint(5*i+j))
			}
			w.wantTexts(ben, numbers(5*i+5)...)
			ben.endBy(way)
			ben.Link(w.broker).Heal()
			ben.Start()
		}
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 20) })
		w.wantTexts(ben, numbers(20)...)
	})
}

// Requests that have no answer because the daemon died are repeated under their ids, and those before them too.
func TestLesson38RetryAfterKill(t *testing.T) {
	eachWay(t, func(t *testing.T, way string, w *world, ada, ben *Home) {
		j := &Journal{}
		ada.Link(w.broker).Tap(once(memnet.Up, "send", func(f memnet.Frame) [][]byte {
			ada.Link(w.broker).Stall(memnet.Up)
			return f.Pass()
		}))
		for range 5 {
			j.Send(t.Context(), ada, ben)
		}
		synctest.Wait() // the first has left: else the link would stall later, for good
		ada.endBy(way)
		for range 2 {
			if got := j.Send(t.Context(), ada, ben); got != Unknown {
				t.Errorf("got %s without a daemon, want %s", got, Unknown)
			}
		}
		ada.Link(w.broker).Heal()
		ada.Start()
		if !j.RepeatAll(t.Context(), ada, ben) {
			t.Error("not all are accepted")
		}
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 7) })
		j.Check(w.Rig, ben)
	})
}

// Each process dies in each moment that counts for a message: when a frame of it has left, and when it was about to leave.
func TestKilledAtEachStep(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		var want []string
		for _, step := range []struct {
			typ string
			on  *Home
		}{{"send", ada}, {"ack", ada}, {"push", ben}, {"client_ack", ben}, {"receipt", ada}} {
			for _, who := range []string{"broker", step.on.Name} {
				for _, left := range []bool{true, false} {
					kill := map[string]func(){"broker": w.broker.Kill, "ada": ada.Kill, "ben": ben.Kill}[who]
					w.wantOpen(ada)
					w.wantOpen(ben)
					step.on.Link(w.broker).Tap(w.atFrame(step.typ, left, kill))
					for i := range 3 {
						text := fmt.Sprintf("%s:killed=%s:left=%t:%d", step.typ, who, left, i)
						want = append(want, text)
						w.insist(ada, text)
					}
					pass(time.Second)
					step.on.Link(w.broker).Tap(nil)
					if !w.broker.startKilled() && !ada.startKilled() && !ben.startKilled() && who != "ada" {
						t.Errorf("%s: %s was not killed", step.typ, who)
					}
				}
			}
		}
		w.wantTexts(ben, want...)
		w.Until("everything is delivered", func() bool { return w.delivered(ada, len(want)) })
		w.wantTexts(ben, want...)
	})
}

// insist sends a text to ben, starting the daemon again and repeating the request where it died over it.
func (w *world) insist(from *Home, text string) {
	req := localapi.SendRequest{To: "ben", Message: text, ClientMessageID: text}
	_, err := localapi.Send.Do(w.T.Context(), from, req)
	if mesh.IsCode(err, mesh.DaemonDown) {
		from.Start()
		_, err = localapi.Send.Do(w.T.Context(), from, req)
	}
	w.must(err)
}

// atFrame calls harm at the first frame of a type, when it has left, or instead of it.
func (w *world) atFrame(typ string, left bool, harm func()) memnet.Tap {
	met := false
	return func(f memnet.Frame) [][]byte {
		if f.Type != typ || met {
			return f.Pass()
		}
		met = true
		f.Then(harm)
		if left {
			return f.Pass()
		}
		return nil
	}
}
