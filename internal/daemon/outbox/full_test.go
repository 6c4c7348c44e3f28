package outbox

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// fillDisk lets every insert and update of the outbox need more pages than the file may have, until the returned
// function is called.
func fillDisk(t *testing.T, o *Outbox) (free func()) {
	t.Helper()
	run := func(statements ...string) {
		t.Helper()
		err := o.db.Write(context.Background(), func(tx *sqlite.Tx) error {
			for _, s := range statements {
				if _, err := tx.Exec(s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TABLE ballast (x)",
		"CREATE TRIGGER ballast_insert AFTER INSERT ON outbox BEGIN INSERT INTO ballast VALUES (zeroblob(1000000)); END",
		"CREATE TRIGGER ballast_update AFTER UPDATE ON outbox BEGIN INSERT INTO ballast VALUES (zeroblob(1000000)); END",
		"PRAGMA max_page_count = 1") // the smallest is what the file has
	return func() { run("PRAGMA max_page_count = 1000000000") }
}

func TestThreat35AcceptOnAFullDisk(t *testing.T) {
	t.Parallel()
	o := open(t)
	free := fillDisk(t, o)
	if _, err := o.Accept(context.Background(), draft("one", bob, "hello")); !mesh.IsCode(err, mesh.StorageFull) {
		t.Errorf("got %v, want %s", err, mesh.StorageFull)
	}
	if n := countRows(t, o); n != 0 || o.open.Load() != 0 {
		t.Errorf("%d rows and %d counted, want none", n, o.open.Load())
	}
	free()
	accept(t, o, draft("one", bob, "hello"))
}

// A drain that cannot write sends nothing, and goes on when it can.
func TestDrainOnAFullDisk(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		ids := acceptMany(t, o, "m", bob, 3)
		force(t, o, ids[1], Row{Status: Inflight}) // to be freed first
		free := fillDisk(t, o)
		defer start(t, o, s)()
		pass(time.Minute)
		if len(s.frames) != 0 {
			t.Errorf("%d frames were sent that could not be claimed", len(s.frames))
		}
		free()
		pass(time.Minute)
		if diff := cmp.Diff(ids, s.order("m")); diff != "" {
			t.Errorf("order of acceptance (-want +got):\n%s", diff)
		}
		if got := statuses(t, o, ids...); got[0] != Done || got[2] != Done {
			t.Errorf("rows are %v, want them done", got)
		}
	})
}
