package queue

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// A repetition is told when its id was accepted, whether the broker still has the text, and that it is not the same message.
func TestRepetitionsAreToldOfTheFirst(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		began := time.Now()
		first := ann.send(string(key("bob")), "1")
		w.pass(time.Minute)
		for _, kept := range []bool{true, false} {
			want := protocol.Ack{
				ID: first.ID, MessageID: first.MessageID, Queued: true, Duplicate: true, Recipients: 1,
				FirstSeenAt: mesh.FormatTime(began), HistoryAvailable: &kept,
			}
			if d := cmp.Diff(want, ann.try(request(string(key("bob")), "1"))); d != "" {
				t.Errorf("repetition with the text kept %t: -want +got\n%s", kept, d)
			}
			bob := w.attach("m", "bob", "bob1")
			bob.ack(bob.pushes()...)
			w.pass(2 * bodiesEvery)
		}
		other := request(string(key("bob")), "1")
		other.RequestFingerprint = strings.Repeat("cd", 32)
		got := ann.try(other)
		if got.Code != mesh.Reused || got.Conflict != protocol.FingerprintMismatch || got.Duplicate {
			t.Errorf("got %+v for another message under the id, want %s", got, mesh.Reused)
		}
	})
}

// Rows that belong to nothing are found within a day and stay as they are; a sound store is silent.
func TestRowsWithoutTheirMessageAreFound(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		ann.send(string(key("bob")), "1")
		w.pass(checkEvery + time.Minute)
		w.settle()
		if said := w.said.String(); said != "" {
			t.Errorf("a sound store: %s", said)
		}
		w.write(func(tx *sqlite.Tx) error {
			_, err := tx.Exec(`INSERT INTO delivery (message, member, session, sender, urgent, bytes, state) VALUES (4711, 1, 0, 1, 0, 9, 1)`)
			return err
		})
		w.pass(checkEvery)
		w.settle()
		if said := w.said.String(); !strings.Contains(said, "copy without its message") || !strings.Contains(said, "rows=1") {
			t.Errorf("a copy without its message: the log says %q", said)
		}
		left := 0
		err := w.db.Read(t.Context(), func(tx *sqlite.Tx) error {
			return tx.QueryRow("SELECT count(*) FROM delivery WHERE message = 4711").Scan(&left)
		})
		if err != nil || left != 1 {
			t.Errorf("%d rows are left, %v, want that the broken one stays", left, err)
		}
	})
}
