package rig

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

var seedFlag = flag.Uint64("seed", 1, "of the random histories; 0 takes a new one")

// history is a random one: three homes write to each other while whatever can break does.
type history struct {
	*world
	journal *Journal
	seed    uint64
	scale   time.Duration // of the times between events
	only    func()        // the one harm; nil for all of them

	mu  sync.Mutex
	rnd *rand.Rand
}

// newHistory begins a history; n tells those of one seed apart.
func newHistory(t *testing.T, set settings, n uint64, scale time.Duration) *history {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	h := &history{world: newWorld(t, set, "ada", "ben", "carol"), journal: &Journal{}, seed: seed, scale: scale}
	h.rnd = rand.New(rand.NewPCG(seed, n))
	return h
}

// upTo is a random number below n.
func (h *history) upTo(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rnd.IntN(n)
}

// moment is a random time of up to so many scales.
func (h *history) moment(scales float64) time.Duration {
	return time.Duration(h.upTo(int(scales*float64(h.scale)) + 1))
}

// run lets everybody send n messages to everybody during so many faults, mends everything, and checks the journal.
func (h *history) run(n, faults int) {
	h.slow()
	var senders sync.WaitGroup
	for _, from := range h.homes {
		for _, to := range h.homes {
			if from != to {
				senders.Go(func() { h.send(from, to, n) })
			}
		}
	}
	for range faults {
		<-time.After(h.moment(1))
		if h.only != nil {
			h.only()
			continue
		}
		h.harm()
	}
	h.mend()
	senders.Wait()
	h.settle()
}

// settle waits until everything has gone its way, and checks the journal.
func (h *history) settle() Tally {
	for _, home := range h.homes {
		h.waitFor(300*h.scale, home.Name+" has sent everything", func() bool {
			n := h.outbox(home)
			return n["pending"]+n["inflight"] == 0
		})
		if n := h.outbox(home)["dead"]; n != 0 {
			h.T.Errorf("%d messages of %s are dead", n, home.Name)
		}
	}
	h.waitFor(300*h.scale, "everything accepted has arrived", h.arrived)
	t := h.journal.Check(h.Rig, h.homes...)
	fmt.Printf("fault %-22s %s\n", h.T.Name(), t)
	if h.T.Failed() {
		h.T.Logf("much the same again: go test ./internal/rig -run '%s' -seed %d", h.T.Name(), h.seed)
	}
	return t
}

// slow lets everything take its time on the way, so that faults find it there.
func (h *history) slow() {
	for _, home := range h.homes {
		home.Link(h.broker).Delay(func() time.Duration { return h.moment(0.03) })
	}
}

// send sends n messages, one after the other. What has no answer is asked for again, or left.
func (h *history) send(from, to *Home, n int) {
	for range n {
		<-time.After(h.moment(0.7))
		outcome := h.journal.Send(h.T.Context(), from, to)
		for outcome == Unknown && h.upTo(3) > 0 {
			<-time.After(h.moment(1))
			outcome = h.journal.Repeat(h.T.Context(), from, to)
		}
	}
}

// harm does one random harm, and mends it after a random time.
func (h *history) harm() {
	home := h.homes[h.upTo(len(h.homes))]
	link := home.Link(h.broker)
	pause := func() { <-time.After(h.moment(3)) }
	switch h.upTo(11) {
	case 5:
		h.turnClock()
	case 0:
		link.Reset()
	case 1:
		link.Cut()
		pause()
		h.heal(link)
	case 2:
		link.Stall(memnet.Direction(h.upTo(2)))
		pause()
		h.heal(link)
	case 3:
		h.broker.endBy(ways[h.upTo(2)])
		pause()
		h.broker.Start()
	case 4:
		home.endBy(ways[h.upTo(2)])
		pause()
		home.Start()
	default:
		h.harmAtFrame(home)
	}
}

// turnClock sets a clock wrong, by up to an hour and a half, and right again after a while: who is over a minute off cannot
// connect meanwhile.
func (h *history) turnClock() {
	clocks := []*Clock{h.broker.Clock}
	for _, home := range h.homes {
		clocks = append(clocks, home.Clock)
	}
	clock := clocks[h.upTo(len(clocks))]
	by := time.Duration(h.upTo(181)-90) * time.Minute
	clock.Turn(by)
	if h.upTo(2) == 0 { // also for who connects anew
		h.homes[h.upTo(len(h.homes))].Link(h.broker).Reset()
	}
	<-time.After(h.moment(3))
	clock.Turn(-by)
}

// harmAtFrame does harm in the moment in which a frame of a random type has left, or would have.
func (h *history) harmAtFrame(home *Home) {
	typ := []string{"send", "ack", "push", "client_ack", "receipt", "hello", "hello_ack", "receipts_since"}[h.upTo(8)]
	lost, link := h.upTo(2) == 0, home.Link(h.broker)
	harm := []func(){link.Reset, h.broker.Kill, home.Kill}[h.upTo(3)]
	over := make(chan struct{})
	met := false
	link.Tap(func(f memnet.Frame) [][]byte {
		if f.Type != typ || met {
			return f.Pass()
		}
		met = true
		f.Then(func() { harm(); close(over) })
		if lost {
			return nil
		}
		return f.Pass()
	})
	select {
	case <-over:
	case <-time.After(2 * h.scale):
	}
	link.Tap(nil)
	h.startKilled()
}

// startKilled starts what was killed.
func (h *history) startKilled() {
	h.broker.startKilled()
	for _, home := range h.homes {
		home.startKilled()
	}
}

// heal mends a link, which stays slow.
func (h *history) heal(l *memnet.Link) {
	l.Heal()
	l.Delay(func() time.Duration { return h.moment(0.03) })
}

// mend makes everything work.
func (h *history) mend() {
	for _, home := range h.homes {
		home.Link(h.broker).Heal()
	}
	h.startKilled()
}

// arrived reports whether as much has arrived as brokers have accepted.
func (h *history) arrived() bool {
	came, done := 0, 0
	for _, home := range h.homes {
		came += len(h.Inbox(home))
		done += h.outbox(home)["done"]
	}
	return came >= done
}

// In a bubble waiting costs nothing, so that faults last as long as in life.
func TestHistory(t *testing.T) {
	for i := range uint64(2) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newHistory(t, settings{}, i, 2*time.Second).run(40, 25) })
		})
	}
}

// Clocks that jump, of any machine, lose nothing and change no order.
func TestHistoryOfClocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, settings{}, 3, 2*time.Second)
		h.only = h.turnClock
		h.run(20, 30)
	})
}

// In real time things happen at once, also while a file is written.
func TestHistoryInRealTime(t *testing.T) {
	t.Parallel()
	newHistory(t, quick, 2, 200*time.Millisecond).run(30, 25)
}
