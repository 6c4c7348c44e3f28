package queue

import (
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// A disk that is almost full refuses one group and stores the next: the log says once that it began, and once that it is over.
func TestAnAlmostFullDiskIsLoggedOnce(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		for i := range 5 {
			ann.send(string(key("bob1")), strings.Repeat("i", i+1))
		}
		got := bob.pushes()
		big := request(string(key("bob1")), "big")
		big.Ciphertext = request("", strings.Repeat("x", 9000)).Ciphertext
		w.pages(1)
		for i := range got {
			if a := ann.try(big); a.Code != mesh.StorageFull {
				t.Fatalf("got %+v, want storage_full", a)
			}
			bob.ack(got[i]) // changes a row that is there
			w.pass(time.Second)
			w.settle()
		}
		wantSaid(t, w, "messages are refused", 1)
		wantSaid(t, w, "messages are stored again", 0)
		w.pages(1_000_000)
		ann.send(string(key("bob1")), "small")
		w.pass(calm + 5*time.Second)
		w.settle()
		wantSaid(t, w, "messages are stored again", 1)
	})
}

// A mailbox that cannot be read is tried again and again, and said once.
func TestAMailboxThatIsNotReadIsLoggedOnce(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		w.attach("m", "ann", "ann1").send(string(key("bob")), "waits")
		rename := func(from, to string) {
			w.write(func(tx *sqlite.Tx) error {
				_, err := tx.Exec("ALTER TABLE " + from + " RENAME TO " + to)
				return err
			})
		}
		rename("message", "away")
		bob := w.attach("m", "bob", "bob1")
		w.pass(time.Minute)
		wantSaid(t, w, "mailboxes wait", 1)
		rename("away", "message")
		w.pass(calm + time.Minute)
		if len(bob.pushes()) == 0 {
			t.Error("the message did not come when the mailbox could be read")
		}
		wantSaid(t, w, "mailboxes wait", 1)
		wantSaid(t, w, "mailboxes are read again", 1)
	})
}

func wantSaid(t *testing.T, w *world, line string, want int) {
	t.Helper()
	w.settle()
	if got := strings.Count(w.said.String(), line); got != want {
		t.Errorf("the log has %q %d times, want %d:\n%s", line, got, want, w.said.String())
	}
}
