package rig

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// seconds is how soon a machine is back: it notices within 3 s, has 5 s to prove that a connection lives, and waits about
// 1 s before it connects again.
const seconds = 10 * time.Second

// A machine that slept, or was carried into another network, does not wait until a connection that is dead was silent for
// 75 s, nor until the next of its ever longer waits: it is connected again within seconds.
func TestLessonBackWithinSecondsAfterSleepOrANewNetwork(t *testing.T) {
	stirs := map[string]func(*world, *Home){
		"slept": func(w *world, h *Home) { // for everyone else these hours have really passed
			h.Clock.Turn(8 * time.Hour)
			w.broker.Clock.Turn(8 * time.Hour)
		},
		"another wifi":  func(_ *world, h *Home) { h.Network.Store("10.0.0.7/24") },
		"clock set":     func(_ *world, h *Home) { h.Clock.Turn(-20 * time.Second) },
		"clock, mildly": func(_ *world, h *Home) { h.Clock.Turn(15 * time.Second) },
	}
	for name, stir := range stirs {
		t.Run(name+", half-open", func(t *testing.T) {
			bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
				link := ben.Link(w.broker)
				link.Stall(memnet.Up)
				link.Stall(memnet.Down)
				w.Send(ben, "ada", "from the train")
				pass(time.Second)
				stir(w, ben)
				w.waitFor(seconds, "ben gives it up", func() bool { return ben.Mesh("team").Status != "open" })
				link.Heal()
				w.waitFor(seconds, "ben is connected", func() bool { return ben.Mesh("team").Status == "open" })
				w.wantTexts(ada, "from the train")
			})
		})
		t.Run(name+", offline", func(t *testing.T) {
			bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
				link := ben.Link(w.broker)
				link.Cut()
				pass(5 * time.Minute) // its waits are long by now
				for ben.Mesh("team").Status != "reconnecting" {
					pass(time.Second)
				}
				w.Send(ben, "ada", "from the hotel")
				pass(2 * time.Second)
				link.Heal()
				stir(w, ben)
				w.waitFor(seconds/2, "ben is connected", func() bool { return ben.Mesh("team").Status == "open" })
				w.wantTexts(ada, "from the hotel")
			})
		})
	}
}

// A connection that lives survives the check.
func TestStirCostsALivingConnectionNothing(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		var hellos atomic.Int32
		ben.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "hello" {
				hellos.Add(1)
			}
			return f.Pass()
		})
		for range 5 {
			ben.Network.Store(time.Now().String())
			ben.Clock.Turn(time.Minute)
			pass(10 * time.Second)
		}
		w.wantOpen(ben)
		if got := hellos.Load(); got != 0 {
			t.Errorf("%d new connections, want none", got)
		}
	})
}
