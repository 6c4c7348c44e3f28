package rig

import (
	"fmt"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

func TestReconnectAfterCut(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ben.Link(w.broker).Cut()
		pass(time.Minute)
		if m := ben.Mesh("team"); m.Status != "reconnecting" || m.LastError == "" {
			t.Errorf("got %s (%s), want reconnecting, and why", m.Status, m.LastError)
		}
		sent := w.Send(ada, "ben", "while ben was away").ClientMessageID
		own := w.Send(ben, "ada", "while I was away").ClientMessageID
		w.wantState(ada, sent, mesh.StateAccepted)
		w.wantState(ben, own, mesh.StateQueued)
		ben.Link(w.broker).Heal()
		pass(ben.Settings.ReconnectMax * 6 / 5)
		w.wantTexts(ben, "while ben was away")
		w.wantTexts(ada, "while I was away")
	})
}

// A connection of which one direction is dead is given up by both ends within 75 s (and the 5 s of their tick), however
// long the system takes to notice; nothing that was sent meanwhile is lost.
func TestLesson116HalfOpenLink(t *testing.T) {
	for name, dead := range map[string][]memnet.Direction{"up": {memnet.Up}, "down": {memnet.Down}, "both": {memnet.Up, memnet.Down}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
				pass(17 * time.Second)
				for _, d := range dead {
					ben.Link(w.broker).Stall(d)
				}
				began := time.Now()
				w.Send(ben, "ada", "into the void")
				w.Send(ada, "ben", "out of it")
				limit := w.broker.Settings.DeadAfter + 5*time.Second
				w.waitFor(limit, "ben gives it up", func() bool { return ben.Mesh("team").Status != "open" })
				w.waitFor(limit-time.Since(began), "the broker gives it up", func() bool { return !w.online(ada, "ben") })
				pass(time.Minute)
				ben.Link(w.broker).Heal()
				w.wantTexts(ada, "into the void")
				w.wantTexts(ben, "out of it")
				w.wantOpen(ben)
			})
		})
	}
}

// waitFor is Until with a limit of its own.
func (w *world) waitFor(limit time.Duration, what string, holds func() bool) {
	w.T.Helper()
	for end := time.Now().Add(limit); !holds(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(end) {
			w.T.Fatalf("waited %v for: %s", limit, what)
		}
	}
}

// online reports whether h sees a member with a connection.
func (w *world) online(h *Home, name string) bool {
	w.T.Helper()
	answer, err := localapi.Peers.Do(w.T.Context(), h, localapi.PeersRequest{})
	w.must(err)
	for _, p := range answer.Peers {
		if p.DisplayName == name && !p.Reconnecting {
			return true
		}
	}
	return false
}

// A clock that is set while a connection is open breaks nothing: not the connection, nor leases, rates and retries.
func TestClockJumps(t *testing.T) {
	for _, by := range []time.Duration{13 * time.Hour, -13 * time.Hour} {
		for _, who := range []string{"daemon", "broker"} {
			t.Run(fmt.Sprint(who, by), func(t *testing.T) {
				bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
					w.Send(ada, "ben", "0")
					w.wantTexts(ben, "0")
					clock := map[string]*Clock{"daemon": ada.Clock, "broker": w.broker.Clock}[who]
					ada.Link(w.broker).Tap(once(memnet.Down, "ack", func(memnet.Frame) [][]byte { clock.Turn(by); return nil }))
					ben.Link(w.broker).Tap(once(memnet.Up, "client_ack", func(memnet.Frame) [][]byte { return nil }))
					for _, text := range []string{"1", "2", "3"} {
						w.Send(ada, "ben", text)
					}
					began := time.Now()
					w.Until("everything is delivered", func() bool { return w.delivered(ada, 4) })
					if took := time.Since(began); took > 50*time.Second {
						t.Errorf("it took %v, want no longer than an ack that is lost and a lease", took)
					}
					w.wantTexts(ben, numbers(4)...)
				})
			})
		}
	}
}

// A machine whose clock is wrong cannot connect, says why, and does as soon as it is set.
func TestWrongClockConnectsWhenItIsSet(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ben.Clock.Turn(-time.Hour)
		ben.Link(w.broker).Reset()
		w.Send(ada, "ben", "hello")
		w.Send(ben, "ada", "waiting")
		pass(2 * time.Minute)
		if m := ben.Mesh("team"); m.Status != "reconnecting" || m.LastError == "" {
			t.Errorf("got %s (%s), want reconnecting, and why", m.Status, m.LastError)
		}
		ben.Clock.Turn(time.Hour)
		pass(ben.Settings.ReconnectMax * 6 / 5)
		w.wantTexts(ben, "hello")
		w.wantTexts(ada, "waiting")
	})
}

// What waits while its clock is set back does not wait for as long as it was set back.
func TestClockSetBackWhileMessagesWait(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Link(w.broker).Cut()
		pass(time.Second)
		w.Send(ada, "ben", "hello")
		pass(time.Second)
		for _, c := range []*Clock{ada.Clock, ben.Clock, w.broker.Clock} {
			c.Turn(-time.Hour)
		}
		ada.Link(w.broker).Heal()
		pass(2 * time.Minute)
		w.wantTexts(ben, "hello")
	})
}

// latency is how long a message to ben takes in a mesh.
func (w *world) latency(from, to *Home, meshSlug, text string) time.Duration {
	w.T.Helper()
	began := time.Now()
	_, err := localapi.Send.Do(w.T.Context(), from, localapi.SendRequest{To: to.Name, Message: text, Mesh: meshSlug})
	w.must(err)
	for tick := time.Millisecond; ; <-time.After(tick) {
		if texts := w.Texts(to); len(texts) > 0 && texts[len(texts)-1] == text {
			return time.Since(began)
		}
		if time.Since(began) > patience {
			w.T.Fatalf("%q did not arrive", text)
		}
	}
}

// quantum is how much two latencies may differ that are read from times in whole milliseconds.
const quantum = 2 * time.Millisecond

// One of two meshes is down, or hangs, with messages waiting for it: the other's latency is unchanged.
func TestLesson5OneMeshDownLeavesTheOtherAlone(t *testing.T) {
	for name, harm := range map[string]func(*Broker, *Home){
		"down":    func(b *Broker, _ *Home) { b.Stop() },
		"hanging": func(b *Broker, h *Home) { h.Link(b).Stall(memnet.Up); h.Link(b).Stall(memnet.Down) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
				second := w.Broker(there, nil)
				ada.Found(second, "other")
				ada.Join("other", ben)
				for _, h := range []*Home{ada, ben} {
					h.Link(w.broker).Delay(func() time.Duration { return 20 * time.Millisecond })
				}
				pass(3 * time.Second) // so that names are asked for, as below
				before := w.latency(ada, ben, "team", "before")
				harm(second, ada)
				for i := range 50 {
					_, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{
						To: string(ben.Mesh("other").Pubkey), Message: fmt.Sprint("waiting ", i), Mesh: "other",
					})
					w.must(err)
				}
				for i := range 20 {
					pass(3 * time.Second)
					if after := w.latency(ada, ben, "team", fmt.Sprint("after ", i)); after > before+quantum {
						t.Errorf("got %v, want %v as before", after, before)
					}
				}
			})
		})
	}
}
