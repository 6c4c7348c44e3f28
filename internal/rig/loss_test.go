package rig

import (
	"database/sql"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"modernc.org/sqlite"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// The link breaks between the broker's commit and its ack, for each of several messages.
func TestLesson217LostAcksAreDeduplicated(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		link := ada.Link(w.broker)
		lost := 0
		link.Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "ack" && lost < 5 {
				lost++
				link.Reset()
				return nil
			}
			return f.Pass()
		})
		var last mesh.ClientID
		for _, text := range numbers(10) {
			last = w.Send(ada, "ben", text).ClientMessageID
		}
		w.wantState(ada, last, mesh.StateDelivered)
		w.wantTexts(ben, numbers(10)...)
		if diff := cmp.Diff(map[string]int{"done": 10}, w.outbox(ada)); diff != "" || lost != 5 {
			t.Errorf("%d acks were lost, want 5; outbox -want +got\n%s", lost, diff)
		}
	})
}

// The recipient has the message on its disk and the broker does not know: it pushes again after the lease.
func TestLostClientAckIsPushedAgainAndNotShownAgain(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		var pushes, acks atomic.Int32
		ben.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "push" {
				pushes.Add(1)
			}
			if f.Type == "client_ack" && acks.Add(1) <= 2 {
				return nil
			}
			return f.Pass()
		})
		began := time.Now()
		sent := w.Send(ada, "ben", "once").ClientMessageID
		w.wantTexts(ben, "once")
		w.wantState(ada, sent, mesh.StateAccepted)
		w.wantState(ada, sent, mesh.StateDelivered)
		lease := w.broker.Settings.Lease
		if took := time.Since(began); took < 2*lease || took > 2*lease+lease/4 {
			t.Errorf("delivered after %v, want two leases of %v", took, lease)
		}
		pass(10 * lease)
		w.wantTexts(ben, "once")
		if pushes.Load() != 3 || acks.Load() != 3 {
			t.Errorf("got %d pushes and %d acks, want 3 of each", pushes.Load(), acks.Load())
		}
	})
}

// A recipient whose connection hangs while it has leases gets what it missed on the next one, in order.
func TestLeasesEndWithTheirConnection(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		link := ben.Link(w.broker)
		link.Tap(func(f memnet.Frame) [][]byte {
			if f.Conn == 1 || f.Type != "client_ack" {
				return f.Pass()
			}
			return nil
		})
		link.Stall(memnet.Up) // ben hears, and is not heard
		for _, text := range numbers(20) {
			w.Send(ada, "ben", text)
		}
		w.wantTexts(ben, numbers(20)...)
		link.Reset()
		link.Tap(nil)
		link.Heal()
		for _, text := range []string{"20", "21"} {
			w.Send(ada, "ben", text)
		}
		w.wantTexts(ben, numbers(22)...)
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 22) })
	})
}

// A push that is lost with its connection comes again before what was sent later.
func TestLostPushesKeepTheirOrder(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		link := ben.Link(w.broker)
		conn, pushes := 0, 0
		link.Tap(func(f memnet.Frame) [][]byte {
			if f.Conn != conn {
				conn, pushes = f.Conn, 0
			}
			if f.Type != "push" {
				return f.Pass()
			}
			if pushes++; pushes > 3*conn {
				link.Reset()
				return nil
			}
			return f.Pass()
		})
		for _, text := range numbers(60) {
			w.Send(ada, "ben", text)
		}
		w.wantTexts(ben, numbers(60)...)
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 60) })
		w.wantTexts(ben, numbers(60)...)
	})
}

// A message that cannot be kept is not overtaken by those after it, and comes when it can be kept.
func TestUnkeptMessagesKeepTheirOrder(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		inbox := ben.Paths().Daemon.Inbox()
		w.exec(inbox, "CREATE TRIGGER full BEFORE INSERT ON inbox WHEN NEW.body = '2' BEGIN SELECT RAISE(ABORT, 'no room'); END")
		for _, text := range numbers(20) {
			w.Send(ada, "ben", text)
		}
		pass(2 * w.broker.Settings.Lease)
		w.wantTexts(ben, "0", "1")
		w.exec(inbox, "DROP TRIGGER full")
		w.Until("everything is delivered", func() bool { return w.delivered(ada, 20) })
		w.wantTexts(ben, numbers(20)...)
	})
}

// exec changes a database of a process that runs.
func (w *world) exec(path, statement string) {
	w.T.Helper()
	file, err := sqlite.NewConnector("file:" + path + "?_pragma=busy_timeout(5000)")
	w.must(err)
	db := sql.OpenDB(file)
	_, err = db.Exec(statement)
	w.must(errors.Join(err, db.Close()))
}
