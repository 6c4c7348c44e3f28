package rig

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/claudemesh/claudemesh/internal/rig/disk"
)

var roundsFlag = flag.Int("rounds", 4, "power cuts of a test of power cuts")

// machine is what the power of can be cut.
type machine interface {
	CutPower()
	Disk() *disk.Disk
	startKilled() bool
}

// cutPower cuts the power of a machine when its disk is given the n-th operation from now, or after a while without, and
// returns when it is off.
func (h *history) cutPower(m machine, n int64) {
	off := make(chan struct{})
	var once sync.Once
	cut := func() {
		once.Do(func() {
			m.CutPower()
			close(off)
		})
	}
	var ops atomic.Int64
	below := m.Disk()
	below.Set(func(disk.Op, string) error {
		if ops.Add(1) == n {
			cut()
		}
		return nil
	})
	select {
	case <-off:
	case <-time.After(h.scale):
		cut()
	}
	below.Set(nil)
}

// T3: the power of one machine after the other is cut at any operation of its disk while everybody writes to everybody.
func TestT3PowerCuts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, settings{}, 3, 2*time.Second)
		h.slow()
		machines := []machine{h.broker}
		stop := make(chan struct{})
		var senders sync.WaitGroup
		for _, from := range h.homes {
			machines = append(machines, from)
			for _, to := range h.homes {
				if from != to {
					senders.Go(func() { h.sendUntil(stop, from, to) })
				}
			}
		}
		for i := range *roundsFlag {
			<-time.After(h.moment(2))
			m := machines[i%len(machines)]
			h.cutPower(m, int64(1+h.upTo(80)))
			<-time.After(h.moment(2))
			m.startKilled()
		}
		close(stop)
		senders.Wait()
		got := h.settle()
		_, _ = fmt.Fprintf(t.Output(), "fault=power rounds=%d sent=%d ok=%d lost=%d doubled=%d misordered=%d misreported=%d\n",
			*roundsFlag, got.Sent, got.OK, got.Lost, got.Doubled, got.Misordered, got.Misreported)
	})
}

// sendUntil sends one message after the other until stop is closed.
func (h *history) sendUntil(stop <-chan struct{}, from, to *Home) {
	for {
		select {
		case <-stop:
			return
		default:
			h.send(from, to, 1)
		}
	}
}

// Power is cut while a disk only says that it has synced: the accounts of the test above show what is lost.
func TestT3PowerCutsWithoutSync(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		lie := func(op disk.Op, path string) error {
			if op == disk.Sync && strings.HasSuffix(path, "-wal") {
				return disk.ErrLie
			}
			return nil
		}
		journal := &Journal{}
		for range 10 {
			ben.Stop()
			w.broker.Disk().Set(lie)
			for range 10 {
				journal.Send(t.Context(), ada, ben)
			}
			w.Until("everything is accepted", func() bool { return w.outbox(ada)["done"] == len(journal.entries) })
			w.broker.CutPower()
			w.broker.Start()
			ben.Start()
			w.wantOpen(ben)
			pass(10 * time.Second)
			if journal.Tally(w.Rig, ben).Lost > 0 {
				return
			}
		}
		t.Error("nothing was lost although nothing was synced")
	})
}
