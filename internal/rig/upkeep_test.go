package rig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker"
	"github.com/claudemesh/claudemesh/internal/daemon"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

// site is where the files of a broker lie.
func (b *Broker) site() upkeep.Site {
	return upkeep.Site{Home: paths.Home{Broker: b.data()}, Now: b.Clock.Now}
}

// A backup is made while the broker works; put back, the broker goes on from there: what had been delivered since comes
// again and is dropped, and what is sent afterwards is told of in full.
func TestRestoredBrokerGoesOn(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		keeper := broker.Upkeep()
		first := w.Send(ada, "ben", "first").ClientMessageID
		w.wantState(ada, first, mesh.StateDelivered)
		ben.Stop()
		waiting := w.Send(ada, "ben", "waits in the backup").ClientMessageID
		w.wantState(ada, waiting, mesh.StateAccepted)
		file := filepath.Join(t.TempDir(), "backup.db")
		made, err := keeper.Backup(t.Context(), w.broker.site(), upkeep.Order{File: file})
		if info, statErr := os.Stat(file); err != nil || statErr != nil || info.Mode().Perm() != 0o600 || made.Bytes != info.Size() {
			t.Fatalf("got %+v, %v, %v, want a private file", made, err, statErr)
		}
		ben.Start()
		w.wantState(ada, waiting, mesh.StateDelivered)
		for _, text := range numbers(5) {
			w.wantState(ada, w.Send(ada, "ben", text).ClientMessageID, mesh.StateDelivered)
		}
		if _, err := keeper.Restore(t.Context(), w.broker.site(), upkeep.Order{File: file}); !mesh.IsCode(err, mesh.AlreadyRunning) {
			t.Errorf("while it runs: got %v, want %s", err, mesh.AlreadyRunning)
		}
		w.broker.Stop()
		done, err := keeper.Restore(t.Context(), w.broker.site(), upkeep.Order{File: file})
		if err != nil || len(done.Aside) != 1 {
			t.Fatalf("got %+v, %v, want the old database kept aside", done, err)
		}
		w.broker.Start()
		ben.Stop()
		last := w.Send(ada, "ben", numbers(6)[5]).ClientMessageID
		w.wantState(ada, last, mesh.StateAccepted)
		ada.Stop() // it asks for the receipts that it has not had
		ben.Start()
		pass(time.Minute)
		ada.Start()
		w.wantState(ada, last, mesh.StateDelivered)
		w.wantTexts(ben, append([]string{"first", "waits in the backup"}, numbers(6)...)...)
		for _, file := range []string{w.broker.data().DB(), done.Aside[0]} {
			at := w.broker.site()
			if file != w.broker.data().DB() {
				at.Home.Broker.Dir = t.TempDir()
				w.must(os.Rename(file, at.Home.Broker.DB()))
			}
			if found, err := keeper.Check(t.Context(), at); err != nil || len(found[0].Faults) > 0 {
				t.Errorf("%s: got %+v, %v, want it sound", file, found, err)
			}
		}
	})
}

// What had not left when a backup was made waits for its human afterwards, whatever became of it meanwhile; released, it
// arrives once.
func TestRestoredOutboxWaitsForItsHuman(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		w.wantState(ada, w.Send(ada, "ben", "before").ClientMessageID, mesh.StateDelivered)
		link := ada.Link(w.broker)
		link.Cut()
		pass(time.Minute)
		sent, lost := w.Send(ada, "ben", "sent after the backup").ClientMessageID, w.Send(ada, "ben", "never sent").ClientMessageID
		keeper, at := daemon.Upkeep(), upkeep.Site{Home: ada.Paths(), Now: ada.Clock.Now}
		file := filepath.Join(t.TempDir(), "backup")
		if _, err := keeper.Backup(t.Context(), at, upkeep.Order{File: file}); err != nil {
			t.Fatal(err)
		}
		_, err := localapi.OutboxCancel.Do(t.Context(), ada, localapi.CancelRequest{ID: string(lost)})
		w.must(err)
		link.Heal()
		w.wantState(ada, sent, mesh.StateDelivered)
		ada.Stop()
		at.Home = ada.Paths()
		done, err := keeper.Restore(t.Context(), at, upkeep.Order{File: file})
		if err != nil || done.Review != 2 {
			t.Fatalf("got %+v, %v, want two messages in review", done, err)
		}
		ada.Start()
		pass(10 * time.Minute)
		w.wantTexts(ben, "before", "sent after the backup")
		list, err := localapi.Outbox.Do(t.Context(), ada, localapi.OutboxRequest{Status: "dead"})
		w.must(err)
		if len(list.Items) != 2 || list.Items[0].LastError == nil || !strings.HasPrefix(*list.Items[0].LastError, "restored") {
			t.Errorf("got %+v, want both, and why", list.Items)
		}
		if got := w.status(ada, string(lost)); got.State != mesh.StateQueued {
			t.Errorf("got %s, want it queued: nobody knows more", got.State)
		}
		for _, id := range []mesh.ClientID{sent, lost, lost} { // again after a time-out, say
			answer, err := localapi.OutboxRequeue.Do(t.Context(), ada, localapi.RequeueRequest{ID: string(id), NewClientMessageID: "new-" + id})
			if err != nil || answer.NewClientMessageID != id || answer.MayBeDoubled {
				t.Errorf("got %+v, %v, want it released as it is", answer, err)
			}
		}
		w.wantState(ada, sent, mesh.StateDelivered)
		w.wantState(ada, lost, mesh.StateDelivered)
		pass(time.Minute)
		w.wantTexts(ben, "before", "sent after the backup", "never sent")
	})
}

// Two daemons with the keys of one hear of it: a backup was restored while the machine that made it goes on.
func TestTwinsHearOfEachOther(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		keeper, file := daemon.Upkeep(), filepath.Join(t.TempDir(), "backup")
		if _, err := keeper.Backup(t.Context(), upkeep.Site{Home: ada.Paths(), Now: ada.Clock.Now}, upkeep.Order{File: file}); err != nil {
			t.Fatal(err)
		}
		twin := w.Home("twin", nil)
		twin.Stop()
		if _, err := keeper.Restore(t.Context(), upkeep.Site{Home: twin.Paths(), Now: twin.Clock.Now}, upkeep.Order{File: file}); err != nil {
			t.Fatal(err)
		}
		twin.Start()
		w.Until("one of them says so", func() bool {
			for _, h := range []*Home{ada, twin} {
				if strings.Contains(h.Mesh("team").LastError, "another daemon with the same keys") {
					return true
				}
			}
			return false
		})
	})
}
