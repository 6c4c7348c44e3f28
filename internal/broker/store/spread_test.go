package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// crowd is a mesh with a sender and so many others.
func crowd(t *testing.T, db *sqlite.DB, others int) (sender Member, boxes []Box) {
	t.Helper()
	addMesh(t, db, "m1", "team")
	must(t, db, func(tx *sqlite.Tx) error {
		for i := range others + 1 {
			name := fmt.Sprint("p", i)
			m, _, err := AddMember(tx, Member{ID: mesh.ID(name), Mesh: "m1", Key: key(name), Name: name, Role: RoleMember, JoinedAt: noon})
			if err != nil {
				return err
			}
			if i == 0 {
				sender = m
			} else {
				boxes = append(boxes, Box{Member: m.N})
			}
		}
		return nil
	})
	return sender, boxes
}

// spreadTo accepts a message as a spread.
func spreadTo(tx *sqlite.Tx, n int64, sender Member, boxes []Box) (Spread, error) {
	m := Message{
		N: n, ID: mesh.ID(fmt.Sprintf("%s-%d", idTime(noon), n)), Sender: sender.N, Fingerprint: []byte{}, CreatedAt: noon, Kind: ToEveryone,
		Target: "*", Nonce: []byte{}, Ciphertext: []byte("body"),
	}
	if _, err := AddMessage(tx, &m); err != nil {
		return Spread{}, err
	}
	s := Spread{Message: n, Sender: sender.N, Bytes: 10, Boxes: boxes}
	return s, AddSpread(tx, &s)
}

// settle ends copies of it; p says how, and which receipts they have.
func settle(tx *sqlite.Tx, s Spread, p Settlement, boxes ...Box) error {
	p.Message, p.Sender, p.At, p.Boxes = s.Message, s.Sender, noon, boxes
	return Settle(tx, &p)
}

// Each copy of a spread message is in one of four places: still spread, settled, a row that waits, a row that is final.
func TestASpreadMessageIsKnownByAllItsCopies(t *testing.T) {
	t.Parallel()
	db := open(t)
	sender, boxes := crowd(t, db, 6)
	must(t, db, func(tx *sqlite.Tx) error {
		s, err := spreadTo(tx, 1, sender, boxes[:5])
		if err != nil {
			return err
		}
		for _, err := range []error{
			settle(tx, s, Settlement{Part: 0, Receipt: 1, Run: 1, Outcome: Delivered}, boxes[3], boxes[0]),
			settle(tx, s, Settlement{Part: 1, Receipt: 0, Run: 0, Outcome: Written}, boxes[1]),
			Unfold(tx, &s, boxes[2:3]),
		} {
			if err != nil {
				return err
			}
		}
		if done, err := FinishDelivery(tx, Final{Message: 1, To: boxes[2], Outcome: Expired, Receipt: 3, Run: 1, At: noon}); !done || err != nil {
			t.Errorf("got %v, %v, want an unfolded copy to be one like others", done, err)
		}
		found, err := FindMessage(tx, idTime(noon), sender.N)
		if err != nil {
			return err
		}
		var got []Outcome
		var names []string
		for _, c := range found.Copies {
			got, names = append(got, c.Outcome), append(names, c.Name)
		}
		if d := cmp.Diff([]Outcome{Delivered, Written, Expired, Delivered, Waiting}, got); d != "" {
			t.Errorf("copies (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"p1", "p2", "p3", "p4", "p5"}, names); d != "" {
			t.Errorf("recipients (-want +got):\n%s", d)
		}
		for i, box := range boxes {
			_, err := FindMessage(tx, idTime(noon), box.Member)
			if stranger := i == 5; mesh.IsCode(err, mesh.NotFound) != stranger || !stranger && err != nil {
				t.Errorf("recipient %d: got %v, want the message for its recipients alone", i, err)
			}
		}
		if n, err := CountWaiting(tx); n != 1 || err != nil {
			t.Errorf("got %d, %v waiting copies, want 1", n, err)
		}
		return nil
	})
}

func TestReceiptsOfSpreadMessagesAreNumberedWithTheOthers(t *testing.T) {
	t.Parallel()
	db := open(t)
	sender, boxes := crowd(t, db, 4)
	must(t, db, func(tx *sqlite.Tx) error {
		a, err := spreadTo(tx, 1, sender, boxes)
		if err != nil {
			return err
		}
		b, err := spreadTo(tx, 2, sender, boxes)
		if err != nil {
			return err
		}
		for _, err := range []error{
			settle(tx, a, Settlement{Part: 0, Receipt: 1, Run: 1, Outcome: Delivered}, boxes[2], boxes[0]),
			Unfold(tx, &a, boxes[1:2]),
			settle(tx, b, Settlement{Part: 0, Receipt: 4, Run: 1, Outcome: Delivered}, boxes...),
			CloseRun(tx, 1),
			settle(tx, a, Settlement{Part: 1, Receipt: 8, Run: 2, Outcome: Expired}, boxes[3]),
		} {
			if err != nil {
				return err
			}
		}
		if _, err := FinishDelivery(tx, Final{Message: 1, To: boxes[1], Outcome: Delivered, Receipt: 3, Run: 1, At: noon}); err != nil {
			return err
		}
		want := []string{"1 1 p3", "2 1 p1", "3 1 p2", "4 2 p1", "5 2 p2", "6 2 p3", "7 2 p4", "8 1 p4"}
		for limit := 1; limit < 10; limit++ {
			var got []string
			for after := int64(0); ; {
				page, err := ListReceipts(tx, sender.N, after, limit)
				if err != nil {
					return err
				}
				if len(page) == 0 {
					break
				}
				for _, r := range page {
					i := slices.IndexFunc(boxes, func(b Box) bool { return r.Recipient == key(fmt.Sprint("p", b.Member-sender.N)) })
					got = append(got, fmt.Sprintf("%d %s p%d", r.Seq, r.Message[idTimeLen+1:], i+1))
					after = r.Seq
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("receipts in pages of %d (-want +got):\n%s", limit, d)
			}
		}
		for run, want := range map[int64]int64{2: 8, 3: 7} { // run 2 is not closed
			if last, err := LastReceipt(tx, sender.N, run); last != want || err != nil {
				t.Errorf("got %d, %v for the last receipt before and in run %d, want %d", last, err, run, want)
			}
		}
		return nil
	})
}

func TestASpreadMessageKeepsItsBodyUntilNobodyWaits(t *testing.T) {
	t.Parallel()
	db := open(t)
	sender, boxes := crowd(t, db, 3)
	must(t, db, func(tx *sqlite.Tx) error {
		s, err := spreadTo(tx, 1, sender, boxes)
		if err != nil {
			return err
		}
		if err := settle(tx, s, Settlement{Part: 0, Receipt: 1, Run: 1, Outcome: Delivered}, boxes[0], boxes[1]); err != nil {
			return err
		}
		if err := DropBodies(tx, 1, 1); err != nil {
			return err
		}
		if n, err := TrimMessages(tx, sender.N, 9); n != 0 || err != nil {
			t.Errorf("got %d, %v, want the message kept while a copy waits", n, err)
		}
		if err := UnfoldAll(tx); err != nil {
			return err
		}
		copies, err := ListWaiting(tx, boxes[2], Page{Limit: 9})
		if len(copies) != 1 || err != nil || string(copies[0].Ciphertext) != "body" || copies[0].Bytes != 10 {
			t.Errorf("got %+v, %v, want the copy with its body", copies, err)
		}
		for _, box := range boxes[:2] {
			if copies, err := ListWaiting(tx, box, Page{Limit: 9}); len(copies) != 0 || err != nil {
				t.Errorf("got %+v, %v, want no copy for who has had it", copies, err)
			}
		}
		if _, err := FinishDelivery(tx, Final{Message: 1, To: boxes[2], Outcome: Written, At: noon}); err != nil {
			return err
		}
		if n, err := TrimMessages(tx, sender.N, 9); n != 1 || err != nil {
			t.Errorf("got %d, %v, want the message gone", n, err)
		}
		if last, err := LastReceipt(tx, sender.N, 1); last != 2 || err != nil {
			t.Errorf("got %d, %v, want the numbers of its receipts remembered", last, err)
		}
		rest := 0
		err = tx.QueryRow(`SELECT (SELECT count(*) FROM spread) + (SELECT count(*) FROM settled) + (SELECT count(*) FROM delivery)`).Scan(&rest)
		if rest != 0 || err != nil {
			t.Errorf("got %d, %v rows, want none left", rest, err)
		}
		return nil
	})
}

func TestMailboxesArePackedAndUnpacked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		box := rapid.Custom(func(t *rapid.T) Box {
			return Box{Member: rapid.Int64Min(1).Draw(t, "member"), Session: rapid.Int64Min(0).Draw(t, "session")}
		})
		want := rapid.SliceOfN(box, 1, 50).Draw(t, "boxes")
		packed := packBoxes(want)
		got, err := unpackBoxes(packed)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatalf("boxes (-want +got), %v:\n%s", err, d)
		}
		if _, err := unpackBoxes(packed[:len(packed)-1]); !mesh.IsCode(err, mesh.StoreCorrupt) {
			t.Fatalf("a list that is cut: got %v, want store_corrupt", err)
		}
	})
}
