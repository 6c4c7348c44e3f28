package rig

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/disk"
)

// fill leaves no room on a disk, and more than a page less than a change of the smallest kind needs.
func fill(d *disk.Disk) { d.Limit(d.Used() - 1) }

// T5: the broker's disk is full: it says so and takes nothing, what it has goes on to be delivered, and once there is room
// everything goes on by itself.
func TestT5BrokerDiskFull(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		journal := &Journal{}
		ben.Stop()
		for range 5 {
			journal.Send(t.Context(), ada, ben)
		}
		w.Until("five are accepted", func() bool { return w.outbox(ada)["done"] == 5 })
		fill(w.broker.Disk())
		for range 5 {
			journal.Send(t.Context(), ada, ben)
		}
		w.Until("the broker refuses", func() bool { return strings.Contains(w.trouble(ada), string(mesh.StorageFull)) })
		ben.Start()
		w.Until("what the broker has is delivered", func() bool { return len(w.Inbox(ben)) == 5 })
		pass(time.Minute)
		if n := w.outbox(ada)["pending"]; n != 5 {
			t.Errorf("%d messages wait, want 5", n)
		}
		w.broker.Disk().Limit(-1)
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 10) })
		journal.Check(w.Rig, ben)
	})
}

// trouble is why messages wait in the outbox of a home.
func (w *world) trouble(h *Home) (all string) {
	w.T.Helper()
	answer, err := localapi.Outbox.Do(w.T.Context(), h, localapi.OutboxRequest{Limit: 500})
	w.must(err)
	for _, row := range answer.Items {
		if row.Status == "pending" && row.LastError != nil {
			all += *row.LastError + "\n"
		}
	}
	return all
}

// T5: the sender's disk is full: the sender is told at once, nothing of it arrives, and what comes is not lost.
func TestT5SenderDiskFull(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		journal := &Journal{}
		journal.Send(t.Context(), ada, ben)
		w.Until("it is delivered", func() bool { return w.delivered(ada, 1) })
		fill(ada.Disk())
		_, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: "ben", Message: "no room"})
		if !mesh.IsCode(err, mesh.StorageFull) {
			t.Errorf("got %v, want %s", err, mesh.StorageFull)
		}
		for range 4 {
			if got := journal.Send(t.Context(), ada, ben); got != Refused {
				t.Errorf("got %s with a full disk, want %s", got, Refused)
			}
			journal.Send(t.Context(), ben, ada)
		}
		pass(time.Minute)
		ada.Disk().Limit(-1)
		journal.Send(t.Context(), ada, ben)
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 2) && w.delivered(ben, 4) })
		journal.Check(w.Rig, ada, ben)
	})
}

// T4: an operation of one of the disks fails while everybody writes to everybody. Who has it fails until it is started
// again, if it must; nothing that was promised is lost.
func TestT4OperationFails(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		journal := &Journal{}
		w.broker.Fails, ada.Fails, ben.Fails = true, true, true
		machines := map[string]machine{"the broker": w.broker, "ada": ada, "ben": ben}
		restart := map[string]func(){"the broker": w.broker.Start, "ada": ada.Start, "ben": ben.Start}
		for round, name := range []string{"the broker", "ada", "ben", "the broker", "ada", "ben"} {
			var ops atomic.Int64
			var failed atomic.Value
			at := int64(3 + 11*round)
			machines[name].Disk().Set(func(op disk.Op, path string) error {
				if ops.Add(1) != at {
					return nil
				}
				failed.Store(fmt.Sprint(op, " ", path[strings.LastIndex(path, "/")+1:]))
				return syscall.EIO
			})
			for range 5 {
				journal.Send(t.Context(), ada, ben)
				journal.Send(t.Context(), ben, ada)
				pass(300 * time.Millisecond)
			}
			t.Logf("%s: operation %d failed: %v", name, at, failed.Load())
			machines[name].Disk().Set(nil)
			restart[name]()
		}
		w.Until("nothing waits", func() bool { return w.quiet(ada) && w.quiet(ben) })
		w.wantOpen(ada)
		w.wantOpen(ben)
		pass(2 * w.broker.Settings.Lease)
		journal.Check(w.Rig, ada, ben)
		if n := w.outbox(ada)["dead"] + w.outbox(ben)["dead"]; n > 0 {
			t.Errorf("%d messages are dead", n)
		}
	})
}

// T4: a process whose store has failed ends, and says why: who starts it again has a sound one.
func TestT4FailedStoreEndsItsProcess(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		w.broker.Fails, ada.Fails, ben.Fails = true, true, true
		journal := &Journal{}
		ended := map[string]chan error{"broker.db-wal": w.broker.process.ended, "outbox.db-wal": ada.process.ended, "inbox.db-wal": ben.process.ended}
		machines := map[string]machine{"broker.db-wal": w.broker, "outbox.db-wal": ada, "inbox.db-wal": ben}
		start := map[string]func(){"broker.db-wal": w.broker.Start, "outbox.db-wal": ada.Start, "inbox.db-wal": ben.Start}
		for _, log := range []string{"broker.db-wal", "outbox.db-wal", "inbox.db-wal"} {
			machines[log].Disk().Set(func(op disk.Op, path string) error {
				if op == disk.Sync && strings.HasSuffix(path, log) {
					return syscall.EIO
				}
				return nil
			})
			journal.Send(t.Context(), ada, ben)
			err := <-ended[log]
			if !mesh.IsCode(err, mesh.StoreFailed) {
				t.Errorf("%s cannot be synced: its process ends with %v, want %s", log, err, mesh.StoreFailed)
			}
			ended[log] <- err // for who stops it
			machines[log].Disk().Set(nil)
			start[log]()
			w.Until("nothing waits", func() bool { return w.quiet(ada) })
		}
		journal.Send(t.Context(), ada, ben)
		w.Until("everything has arrived", func() bool { return len(w.Inbox(ben)) >= 3 && w.quiet(ada) })
		journal.Check(w.Rig, ben)
	})
}

// quiet reports whether nothing waits in the outbox of a home.
func (w *world) quiet(h *Home) bool {
	n := w.outbox(h)
	return n["pending"]+n["inflight"] == 0
}
