package store

import (
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// An old message that was delivered last is pruned first. Its number is not given again, also after a restart.
func TestNumbersOfPrunedReceiptsAreNotGivenAgain(t *testing.T) {
	t.Parallel()
	db := open(t)
	addMesh(t, db, "m1", "team")
	must(t, db, func(tx *sqlite.Tx) error {
		ann, _, err := AddMember(tx, Member{ID: "a", Mesh: "m1", Key: key("ann"), Name: "ann", Role: RoleMember, JoinedAt: noon})
		if err != nil {
			return err
		}
		bob := Box{Member: ann.N + 1}
		for i, id := range []mesh.ID{"old", "young"} {
			m := Message{N: int64(i + 1), ID: id, Sender: ann.N, Fingerprint: []byte{}, CreatedAt: noon, Nonce: []byte{}, Ciphertext: []byte{}}
			if _, err := AddMessage(tx, &m); err != nil {
				return err
			}
			if err := AddDelivery(tx, Delivery{Message: m.N, To: bob, Sender: ann.N}); err != nil {
				return err
			}
		}
		for receipt, message := range map[int64]int64{1: 2, 2: 1} {
			if _, err := FinishDelivery(tx, Final{Message: message, To: bob, Outcome: Delivered, Receipt: receipt, Run: 1, At: noon}); err != nil {
				return err
			}
		}
		if n, err := TrimMessages(tx, ann.N, 1); n != 1 || err != nil {
			t.Fatalf("got %d, %v, want the oldest message gone", n, err)
		}
		if err := CloseRun(tx, 1); err != nil {
			return err
		}
		if last, err := LastReceipt(tx, ann.N, 2); last != 2 || err != nil {
			t.Errorf("got %d, %v for the last receipt, want 2", last, err)
		}
		return nil
	})
}
