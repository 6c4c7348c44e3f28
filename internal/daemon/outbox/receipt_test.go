package outbox

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// live notes a receipt that came by itself, and checks what is known after it.
func live(t *testing.T, o *Outbox, r Receipt, wantMissed bool, wantLast int64) {
	t.Helper()
	_, missed, err := o.ApplyReceipts(context.Background(), meshA, []Receipt{r}, false)
	if err != nil || missed != wantMissed {
		t.Errorf("receipt %d: got missed %t, %v; want %t", r.Seq, missed, err, wantMissed)
	}
	if last, err := o.LastReceipt(context.Background(), meshA); last != wantLast || err != nil {
		t.Errorf("after receipt %d the last is %d, %v; want %d", r.Seq, last, err, wantLast)
	}
}

// A receipt that comes after a gap counts, and leaves the gap to receipts_since.
func TestLastReceiptMovesOverNoGap(t *testing.T) {
	t.Parallel()
	o := open(t)
	for _, id := range []mesh.ClientID{"one", "two", "three", "four"} {
		accept(t, o, draft(id, bob, string(id)))
	}
	live(t, o, receipt(1, "one", bob, mesh.StateDelivered), false, 1)
	live(t, o, receipt(3, "three", bob, mesh.StateDelivered), true, 1)
	if m := message1(t, o, "three"); m.State != mesh.StateDelivered {
		t.Errorf("the receipt after the gap: got %s, want %s", m.State, mesh.StateDelivered)
	}
	live(t, o, receipt(1, "one", bob, mesh.StateDelivered), false, 1)
	apply(t, o, receipt(2, "two", bob, mesh.StateDelivered), receipt(3, "three", bob, mesh.StateDelivered))
	live(t, o, receipt(4, "four", bob, mesh.StateDelivered), false, 4)
	apply(t, o, receipt(9, "four", bob, mesh.StateDelivered)) // what lies between is forgotten at the broker
	live(t, o, receipt(10, "four", bob, mesh.StateDelivered), false, 10)
}

// The first receipt of all may have been missed, too. A number that no receipt has is none to read on from.
func TestFirstReceiptMissed(t *testing.T) {
	t.Parallel()
	o := open(t)
	live(t, o, receipt(2, "two", bob, mesh.StateDelivered), true, 0)
	live(t, o, receipt(-1, "two", bob, mesh.StateDelivered), false, 0)
}

// A receipt that could not be written is missing: those after it do not hide that.
func TestReceiptOnAFullDisk(t *testing.T) {
	t.Parallel()
	o := open(t)
	accept(t, o, draft("one", bob, "x"))
	run := func(statement string) {
		t.Helper()
		err := o.db.Write(context.Background(), func(tx *sqlite.Tx) error { _, err := tx.Exec(statement); return err })
		if err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TABLE ballast (x)")
	run("CREATE TRIGGER ballast_receipt AFTER INSERT ON receipt BEGIN INSERT INTO ballast VALUES (zeroblob(1000000)); END")
	run("PRAGMA max_page_count = 1")
	first := []Receipt{receipt(1, "one", bob, mesh.StateDelivered)}
	if _, _, err := o.ApplyReceipts(context.Background(), meshA, first, false); !mesh.IsCode(err, mesh.StorageFull) {
		t.Errorf("got %v, want %s", err, mesh.StorageFull)
	}
	run("PRAGMA max_page_count = 1000000000")
	live(t, o, receipt(2, "of another device", bob, mesh.StateDelivered), true, 0)
	apply(t, o, receipt(1, "one", bob, mesh.StateDelivered), receipt(2, "of another device", bob, mesh.StateDelivered))
	if m := message1(t, o, "one"); m.State != mesh.StateDelivered {
		t.Errorf("got %s, want %s", m.State, mesh.StateDelivered)
	}
}

// What only a reader can know counts with the reader's proof, and with the key that the message was sealed for; then nothing
// that the relay says counts against it (design D5).
func TestReceiptsThatNeedAProof(t *testing.T) {
	t.Parallel()
	o := open(t)
	accept(t, o, draft("one", bob, "x"))
	group := draft("many", "", "x")
	group.TargetSpec = "@ops"
	accept(t, o, group)
	unsigned := func(seq int64, id mesh.ClientID, s mesh.State) Receipt {
		r := receipt(seq, id, bob, s)
		r.Proved, r.Known = false, false
		return r
	}
	stranger := receipt(4, "many", bob, mesh.StateSurfaced)
	stranger.Known = false
	steps := []struct {
		receipt  Receipt
		state    mesh.State
		verified bool
	}{
		{unsigned(1, "one", mesh.StateSurfaced), mesh.StateQueued, false},
		{receipt(2, "one", carol, mesh.StateAcknowledged), mesh.StateQueued, false},
		{receipt(3, "one", bob, mesh.StateDelivered), mesh.StateDelivered, false},
		{unsigned(4, "one", mesh.StateAcknowledged), mesh.StateDelivered, false},
		{unsigned(5, "one", mesh.StateExpired), mesh.StateExpired, false},
		{receipt(6, "one", bob, mesh.StateSurfaced), mesh.StateSurfaced, true},
		{unsigned(7, "one", mesh.StateRejected), mesh.StateSurfaced, true},
		{receipt(8, "one", bob, mesh.StateAcknowledged), mesh.StateAcknowledged, true},
		{receipt(9, "one", bob, mesh.StateSurfaced), mesh.StateAcknowledged, true},
	}
	for i, s := range steps {
		apply(t, o, s.receipt)
		m := message1(t, o, "one")
		if m.State != s.state || len(m.Recipients) != 1 || m.Recipients[0].Verified != s.verified {
			t.Errorf("receipt %d: got %s of %+v, want %s, verified %t", i+1, m.State, m.Recipients, s.state, s.verified)
		}
	}
	apply(t, o, stranger)
	if m := message1(t, o, "many"); len(m.Recipients) != 0 {
		t.Errorf("of a group, by a key that nobody knows: got %+v, want nothing", m.Recipients)
	}
	got, err := Steps(context.Background(), o, "one")
	var states []mesh.State
	for _, s := range got {
		states = append(states, s.State)
	}
	want := []mesh.State{mesh.StateDelivered, mesh.StateSurfaced, mesh.StateAcknowledged, mesh.StateExpired}
	if diff := cmp.Diff(want, states); diff != "" || err != nil {
		t.Errorf("its steps: %v (-want +got):\n%s", err, diff)
	}
}
